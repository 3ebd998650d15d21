"""The plot of a benchmark: how much faster than its peer each row is, with the spread over the rounds."""

import statistics
import sys


def save(path, title, peer, rows):
    """Draw a bar for each row, which is a name and the ratios of all rounds. More than 1 is faster."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        sys.exit("--plot needs matplotlib: pip install matplotlib")
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
    axes.invert_yaxis()
    axes.set_title(title)
    axes.set_xlabel(f"times as fast as {peer}\n(median of the rounds, least and most)")
    figure.savefig(path)
