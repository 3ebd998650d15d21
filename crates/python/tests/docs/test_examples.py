"""The examples find what they say, and fail if they do not; those in docstrings run too."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2]
EXAMPLES = PACKAGE / "examples"
#: A child that lasts so many seconds hangs.
PATIENCE = 240

needs_numpy = pytest.mark.skipif(importlib.util.find_spec("numpy") is None, reason="needs numpy")


def run(*arguments):
    """Run a Python that imports from the folders of examples and benchmarks."""
    path = os.pathsep.join([str(EXAMPLES), str(PACKAGE / "bench")])
    return subprocess.run(
        [sys.executable, "-W", "error", *arguments],
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def scripts():
    """Return the names of all examples."""
    found = sorted(path.stem for path in EXAMPLES.glob("*.py"))
    assert found == ["bank", "counter", "tiles"], "each has to be tested below"
    return [pytest.param(name, marks=[needs_numpy] if name == "tiles" else []) for name in found]


SCRIPTS = scripts()


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_finds_what_it_says(name):
    """Each checks its own result."""
    ended = run(str(EXAMPLES / f"{name}.py"))
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_has_arguments(name):
    """Its sizes are options, which it explains."""
    ended = run(str(EXAMPLES / f"{name}.py"), "--help")
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "--" in ended.stdout


@pytest.mark.parametrize(
    "name, arguments",
    [
        ("bank", ["--accounts", "2", "--transfers", "100", "--workers", "1"]),
        ("counter", ["--processes", "2", "--rounds", "1"]),
        # The last tile is smaller, and an edge of the image is an edge of each.
        pytest.param("tiles", ["--size", "7", "--tile", "3", "--steps", "9"], marks=needs_numpy),
        pytest.param("tiles", ["--size", "1", "--tile", "2", "--steps", "1"], marks=needs_numpy),
    ],
)
def test_an_example_of_another_size(name, arguments):
    """The result does not depend on the sizes."""
    ended = run(str(EXAMPLES / f"{name}.py"), *arguments)
    assert (ended.returncode, ended.stderr) == (0, "")


#: What makes the result of an example wrong.
BREAKS = {
    "bank": "bank.transfer = lambda source, target, amount: setattr(target.value, 'balance', 0)",
    "counter": "counter.Counter.final = lambda self: (1, [1])",
    "tiles": "tiles.blur_tile = lambda above, tile, below: tile.value + 1",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_an_example_fails_on_a_wrong_result(name):
    """A wrong result is an exit code, and no exception."""
    options = {"counter": ["--rounds", "2"], "bank": ["--transfers", "100"]}.get(name, [])
    program = f"import sys, {name}\n{BREAKS[name]}\nsys.exit({name}.main())"
    ended = run("-c", program, *options)
    assert (ended.returncode, ended.stderr) == (1, "")


@pytest.mark.parametrize(
    "program, package, code",
    [
        ("import tiles", "numpy", 2),
        ("import plot; plot.check('found.svg')", "matplotlib", 1),
        ("import plot; plot.check('found.png', 'bocpy')", "bocpy", 1),
    ],
)
def test_what_an_example_needs_is_one_line(program, package, code):
    """That a package is missing is no stack of calls."""
    # Of the packages that it needs only this one is missing.
    setup = (
        "import importlib.machinery, sys, types\n"
        "for name in ('numpy', 'matplotlib', 'bocpy'):\n"
        "    sys.modules[name] = types.ModuleType(name)\n"
        "    sys.modules[name].__spec__ = importlib.machinery.ModuleSpec(name, None)\n"
        f"sys.modules[{package!r}] = None\n"
    )
    ended = run("-c", setup + program)
    assert ended.returncode == code
    assert ended.stderr.endswith(f"needs {package}: pip install {package}\n")
    assert ended.stderr.count("\n") == 1


def test_a_plot_that_could_not_be_drawn_is_refused_before():
    """The benchmarks measure for minutes."""
    for path, text in [("found.pdf", "ends in svg or png"), ("not/there.svg", "no folder not")]:
        ended = run("-c", f"import plot; plot.check({path!r})")
        assert ended.returncode == 1
        assert text in ended.stderr
        assert ended.stderr.count("\n") == 1


@pytest.mark.skipif(importlib.util.find_spec("matplotlib") is None, reason="needs matplotlib")
@pytest.mark.parametrize("name", ["found.svg", "found.png"])
def test_a_plot_is_drawn(name, tmp_path):
    """Rows without a ratio are left out."""
    path = tmp_path / name
    program = (
        "import plot\n"
        f"plot.check({str(path)!r})\n"
        "rows = [('one', [2.0, 3.0, 2.5]), ('none', []), ('two', [0.5])]\n"
        f"plot.save({str(path)!r}, 'a title', 'a peer', rows)"
    )
    # matplotlib may warn of its own, or of numpy's.
    ended = run("-W", "default", "-c", program)
    assert ended.returncode == 0, ended.stderr
    head = path.read_bytes()[:100]
    assert (b"<?xml" if name.endswith("svg") else b"PNG") in head


@pytest.mark.parametrize("module", ["pysync.boc", "pysync.robust"])
def test_the_examples_in_the_docstring_of_a_module_run(module):
    """Each module shows what it is for, in its own docstring."""
    program = f"""
import doctest, sys, {module} as module
own = doctest.DocTestParser().get_examples(module.__doc__)
found = doctest.testmod(module)
print(len(own), found.attempted)
sys.exit(found.failed != 0)
"""
    ended = run("-c", program)
    assert (ended.returncode, ended.stderr) == (0, ""), ended.stdout
    own, attempted = map(int, ended.stdout.split())
    assert 5 <= own <= attempted
