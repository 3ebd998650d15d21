"""An image in tiles: each is a numpy array in a cown, and a step of a filter is a behavior of neighbours.

    python tiles.py [--size 512] [--tile 128] [--steps 4] [--workers 4]

A tile is a row of the image's lines. A step blurs one tile, for which it needs the last line of the tile
above and the first one of the tile below as they were before the step. So each tile keeps both of its
edges beside its pixels, one set for even steps and one for odd ones. All steps of all tiles are asked for
at once: the cowns bring them into order, and tiles that are no neighbours are computed in parallel.
"""

import argparse
import sys

from pysync.boc import Cown, start, wait, whencall

try:
    import numpy as np
except ImportError:
    sys.exit("tiles.py needs numpy: pip install numpy")


class Tile:
    """Some lines of the image, and its edges before even and odd steps."""

    def __init__(self, pixels):
        self.pixels = pixels
        self.edges = [None, None]
        self.keep_edges(0)

    def keep_edges(self, step):
        """Keep both edges as they are before a step."""
        self.edges[step % 2] = (self.pixels[0].copy(), self.pixels[-1].copy())


def blur(lines):
    """Return the mean of each pixel and its eight neighbours, without the first and the last line."""
    padded = np.pad(lines, ((0, 0), (1, 1)), mode="edge")
    columns = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (columns[:-2] + columns[1:-1] + columns[2:]) / 9


def blur_tile(above, tile, below, step):
    """Do one step of one tile. The body of a behavior over the tile and its neighbours."""
    own = tile.value
    top = above.value.edges[step % 2][1] if above is not tile else own.pixels[0]
    bottom = below.value.edges[step % 2][0] if below is not tile else own.pixels[-1]
    own.pixels = blur(np.vstack((top, own.pixels, bottom)))
    own.keep_edges(step + 1)


def main():
    """Blur an image in tiles, and as a whole. Returns the exit code."""
    parser = argparse.ArgumentParser(description="A filter over an image in tiles.")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--tile", type=int, default=128, help="how many lines a tile has")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--workers", type=int, default=4)
    args = parser.parse_args()

    image = np.random.default_rng(1).random((args.size, args.size))
    tiles = [
        Cown(Tile(image[top : top + args.tile].copy())) for top in range(0, args.size, args.tile)
    ]
    start(worker_count=args.workers)
    last = len(tiles) - 1
    for step in range(args.steps):
        for i, tile in enumerate(tiles):
            # At the border of the image a tile is its own neighbour.
            above, below = tiles[max(i - 1, 0)], tiles[min(i + 1, last)]
            whencall(blur_tile, [above, tile, below], [step])
    wait()
    in_tiles = np.vstack([tile.value.pixels for tile in tiles])

    whole = image
    for _ in range(args.steps):
        whole = blur(np.vstack((whole[:1], whole, whole[-1:])))
    is_same = np.array_equal(in_tiles, whole)
    print(f"{len(tiles)} tiles, {args.steps} steps: {'the same' if is_same else 'DIFFERENT'}")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
