"""An image in tiles: each is a numpy array in a cown, and a behavior blurs one with its neighbours.

    python tiles.py [--size 512] [--tile 128] [--steps 4] [--workers 4]

A tile is some lines of the image. A step blurs one tile, for which it needs the last line of the
tile above and the first one of the tile below. What it returns is in a cown too, which is a tile of
the next step. So all steps of all tiles are asked for at once, without a barrier between two steps:
the cowns bring them into order, and tiles that are no neighbours are computed in parallel.
"""

import argparse
import sys

from pysync.boc import Cown, start, wait, whencall

try:
    import numpy as np
except ImportError:
    print("tiles.py needs numpy: pip install numpy", file=sys.stderr)
    sys.exit(2)


def blur(lines):
    """Return the mean of each pixel and its neighbours, without the first and the last line."""
    padded = np.pad(lines, ((0, 0), (1, 1)), mode="edge")
    columns = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    return (columns[:-2] + columns[1:-1] + columns[2:]) / 9


def blur_tile(above, tile, below):
    """Return a tile after one more step. The body of a behavior over the tile and its neighbours.

    At the border of the image the tile is its own neighbour.
    """
    lines = tile.value
    top = lines[:1] if above == tile else above.value[-1:]
    bottom = lines[-1:] if below == tile else below.value[:1]
    return blur(np.vstack((top, lines, bottom)))


def blur_in_tiles(image, height, steps):
    """Blur an image, of which each tile has so many lines."""
    tiles = [Cown(image[top : top + height]) for top in range(0, len(image), height)]
    last = len(tiles) - 1
    for _ in range(steps):
        tiles = [
            whencall(blur_tile, [tiles[max(i - 1, 0)], tiles[i], tiles[min(i + 1, last)]], [])
            for i in range(len(tiles))
        ]
    return np.vstack([tile.unwrap(timeout=None) for tile in tiles])


def blur_whole(image, steps):
    """Blur an image in one piece, on this thread."""
    for _ in range(steps):
        image = blur(np.vstack((image[:1], image, image[-1:])))
    return image


def main():
    """Blur an image in tiles, and as a whole. Returns the exit code."""
    parser = argparse.ArgumentParser(description="A filter over an image in tiles.")
    parser.add_argument("--size", type=int, default=512, help="lines and columns of the image")
    parser.add_argument("--tile", type=int, default=128, help="how many lines a tile has")
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--workers", type=int, default=4)
    args = parser.parse_args()
    if min(args.size, args.tile, args.steps) < 1:
        parser.error("an image has lines, so has a tile, and there is a step")

    image = np.random.default_rng(1).random((args.size, args.size))
    start(worker_count=args.workers)
    in_tiles = blur_in_tiles(image, args.tile, args.steps)
    wait()
    is_same = np.array_equal(in_tiles, blur_whole(image, args.steps))
    count = -(-args.size // args.tile)
    print(f"{count} tiles, {args.steps} steps: {'the same' if is_same else 'DIFFERENT'}")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())
