"""The Python in the README and in docs/python.md runs as it stands, and so do the benchmarks."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2]
PAGES = [PACKAGE / "README.md", PACKAGE.parents[1] / "docs" / "python.md"]


#: The first line of a block that only shows something.
NOT_RUN = "# not run\n"


def blocks():
    """Yield the fenced blocks of Python of all pages, but for those that say they are not run."""
    for page in PAGES:
        found = re.findall(
            r"^```python\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE
        )
        found = [block for block in found if not block.startswith(NOT_RUN)]
        assert found, f"{page}: no Python that runs"
        for number, block in enumerate(found):
            yield pytest.param(block, id=f"{page.name}-{number}")


@pytest.mark.parametrize("block", list(blocks()))
def test_a_block_runs(block):
    """Each block is a program, and says nothing on stderr."""
    command = [sys.executable, "-W", "error", "-c", block]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(
    "script, arguments",
    [
        ("mutex.py", ["--rounds", "1", "--number", "100"]),
        ("queues.py", ["--quick"]),
        ("behaviours.py", ["--rounds", "1", "--count", "100", "one", "busy"]),
    ],
)
def test_a_benchmark_runs(script, arguments):
    """The benchmarks run, without peers that are not installed too."""
    command = [sys.executable, str(PACKAGE / "bench" / script), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "pysync" in ended.stdout or "Mutex" in ended.stdout
