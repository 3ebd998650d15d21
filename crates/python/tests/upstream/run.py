"""Runs bocpy's own tests against `pysync.boc`.

The tests are not in this repository. They come from bocpy's source distribution, which pip downloads, or from
a folder where it lies unpacked:

    python run.py [--source FOLDER] [FILE ...]

`BOCPY_SOURCE` is the same as `--source`. Which tests are left out, and why, is in `left_out.toml`.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

import pytest

VERSION = "0.14.0"
HERE = Path(__file__).parent
FILES = [
    "test_message_queue.py",
    "test_boc.py",
    "test_noticeboard.py",
    "test_pinned_pump.py",
    "test_scheduling_stress.py",
    "test_scheduler_stats.py",
    "test_scheduler_integration.py",
    "test_stop_retry_composition.py",
]
PATIENCE = 180
"""After so many seconds in one test the stacks of all threads are printed, and the run ends."""


def download(folder):
    """Has pip fetch and unpack the source distribution, and says where it is.

    It does not build, for it lacks files that its setup.py names. pip leaves it unpacked when that fails.
    """
    requirement = f"bocpy=={VERSION}"
    options = ["--no-binary", "bocpy", "--no-deps", "--no-clean", "--dest", folder, requirement]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", "--quiet", *options],
        env={**os.environ, "TMPDIR": folder},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    unpacked = [found.parent.parent for found in Path(folder).rglob(f"test/{FILES[0]}")]
    if len(unpacked) != 1:
        sys.exit(f"{requirement} was not unpacked by pip:\n{done.stdout}{done.stderr}")
    return unpacked[0]


class LeftOut:
    """A plugin of pytest that leaves tests out, and insists that each of them is there."""

    def __init__(self, reasons):
        self.reasons = reasons

    def pytest_collection_modifyitems(self, config, items):
        """Takes the tests out of what has been collected."""
        kept, left_out, unused = [], [], set(self.reasons)
        for item in items:
            file, *names = item.nodeid.partition("[")[0].split("::")
            path = [Path(file).name, *names]
            keys = {"::".join(path[:length]) for length in range(1, len(path) + 1)}
            found = keys & self.reasons.keys()
            unused -= found
            (left_out if found else kept).append(item)
        collected = {Path(item.nodeid.partition("::")[0]).name for item in items}
        unused = {key for key in unused if key.partition("::")[0] in collected}
        if unused:
            raise pytest.UsageError(f"left out, but not there: {sorted(unused)}")
        items[:] = kept
        config.hook.pytest_deselected(items=left_out)


def main():
    """Reads the command line and runs the tests."""
    parser = argparse.ArgumentParser(description="Runs bocpy's own tests against pysync.boc.")
    parser.add_argument("--source", default=os.environ.get("BOCPY_SOURCE"))
    parser.add_argument("files", nargs="*", default=FILES)
    arguments = parser.parse_args()

    shim = str(HERE / "shim")
    sys.path.insert(0, shim)
    # For the interpreters that some tests start.
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [shim, os.environ.get("PYTHONPATH")]))
    reasons = tomllib.loads((HERE / "left_out.toml").read_text())["left_out"]
    with tempfile.TemporaryDirectory() as folder:
        source = Path(arguments.source or download(folder)).absolute()
        options = ["-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(source)]
        options += ["-o", f"faulthandler_timeout={PATIENCE}"]
        options += ["-o", "faulthandler_exit_on_timeout=true"]
        files = [str(source / "test" / file) for file in arguments.files]
        return pytest.main([*options, *files], plugins=[LeftOut(reasons)])


if __name__ == "__main__":
    sys.exit(main())
