"""The plot of a benchmark: how much faster than its peer each row is, with the rounds' spread."""

import importlib.util
import os
import statistics
import sys

FORMATS = ("svg", "png")


def add_argument(parser, peer):
    """Add ``--plot`` to the arguments of a benchmark that compares itself with a peer."""
    parser.add_argument(
        "--plot",
        metavar="FILE",
        help=f"draw how much faster than {peer} each row is, as svg or png; needs matplotlib",
    )


def check(path, *packages):
    """End the program in one line if there will be no plot, before it measures for minutes.

    :param path: What ``--plot`` says, or None.
    :param packages: What else has to be installed, besides matplotlib.
    """
    if path is None:
        return
    if path.rpartition(".")[2].lower() not in FORMATS:
        sys.exit(f"--plot draws a file that ends in {' or '.join(FORMATS)}, not {path}")
    if not os.path.isdir(os.path.dirname(path) or "."):
        sys.exit(f"--plot: there is no folder {os.path.dirname(path)}")
    for package in ("matplotlib", *packages):
        if importlib.util.find_spec(package) is None:
            sys.exit(f"--plot needs {package}: pip install {package}")


def save(path, title, peer, rows):
    """Draw a bar for each row: a name and the ratios of all rounds. More than 1 is faster."""
    from matplotlib.figure import Figure

    rows = [(name, ratios) for name, ratios in rows if ratios]
    figure = Figure(figsize=(8, 1 + 0.4 * len(rows)), layout="constrained")
    axes = figure.subplots()
    names = [name for name, _ in rows]
    middles = [statistics.median(ratios) for _, ratios in rows]
    spread = [
        [middle - min(ratios) for middle, (_, ratios) in zip(middles, rows)],
        [max(ratios) - middle for middle, (_, ratios) in zip(middles, rows)],
    ]
    labels = [f"{name}: {middle:.2f} ×" for name, middle in zip(names, middles)]
    lengths = [middle - 1 for middle in middles]
    axes.barh(labels, lengths, left=1, color="#4878a8")
    axes.errorbar(middles, labels, xerr=spread, fmt="none", ecolor="#404040", capsize=3)
    axes.axvline(1, color="#404040", linewidth=1)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.invert_yaxis()
    axes.set_title(title)
    axes.set_xlabel(f"times as fast as {peer}\n(median of the rounds, least and most)")
    figure.savefig(path)
