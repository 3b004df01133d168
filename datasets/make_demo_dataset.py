"""Generate a small data set for a first training: landscapes and paintings of landscapes.

    python datasets/make_demo_dataset.py
    python datasets/make_demo_dataset.py --out ./datasets/demo128 --size 128 --train 400

Side A: smooth daylight landscapes. Side B: landscapes in brush strokes and sunset colours. trainA
and trainB show different scenes; testA and testB show the same scenes under the same file names, so
that a translation can be compared with the true answer. The same settings give the same files.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from demo_painting import paint
from demo_scenes import draw_scene
from made_folder import MadeFolder, ProgramError, plain, whole_number
from numpy.typing import NDArray
from PIL import Image

PROGRAM = "make_demo_dataset"
#: incremented whenever the same settings give other images
DRAWING_VERSION = 1
#: the random streams, so that no scene occurs in two of them
TRAIN_A, TRAIN_B, TEST, BRUSH_TRAIN, BRUSH_TEST = range(5)


def main(argv: list[str] | None = None) -> int:
    """Generate the data set that the command line describes; return the exit status."""
    args = _parser().parse_args(argv)
    try:
        _make(args)
    except ProgramError as error:
        print(f"{PROGRAM}: error: {plain(error)}", file=sys.stderr)
        return error.code
    except OSError as error:
        print(f"{PROGRAM}: error: --out {plain(args.out)}: {plain(error)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{PROGRAM}: stopped; the same command starts again", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM}.py",
        description="Draw landscapes (A) and paintings of landscapes (B) to try a training with.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("./datasets/demo"), help="folder to make")
    parser.add_argument(
        "--size", type=whole_number(16, 1024), default=96, help="width and height in pixels"
    )
    parser.add_argument(
        "--train", type=whole_number(1, 100000), default=200, help="training images per side"
    )
    parser.add_argument("--test", type=whole_number(1, 100000), default=30, help="test pairs")
    parser.add_argument(
        "--seed", type=whole_number(0, 2**31 - 1), default=0, help="another seed, other scenes"
    )
    return parser


def _make(args: argparse.Namespace) -> None:
    """Generate all images unless the folder is complete."""
    settings = {name: getattr(args, name) for name in ("size", "train", "test", "seed")}
    settings["version"] = DRAWING_VERSION
    folder = MadeFolder(args.out, "demo.json", re.compile(r"scene_\d+\.png"), settings)
    if folder.is_complete():
        print(f"{plain(args.out)}: complete with these settings, left unchanged")
        return
    start = time.perf_counter()
    folder.begin()
    total = 2 * args.train + 2 * args.test
    print(f"drawing {total} images of {args.size} x {args.size} into {plain(args.out)} ...")
    for phase, index, image in demo_images(args.size, args.train, args.test, args.seed):
        _save(image, args.out / phase / f"scene_{index:04d}.png")
    folder.finish()
    print(
        f"done in {time.perf_counter() - start:.0f} s: {args.train} training images per side,"
        f" {args.test} test pairs; train with --dataroot {plain(args.out)}"
    )


def demo_images(
    size: int, train: int, test: int, seed: int
) -> Iterator[tuple[str, int, NDArray[np.float32]]]:
    """Yield all images as (folder, 1-based number, float32 (size, size, 3) in 0..1)."""

    def scene(stream: int, index: int) -> NDArray[np.float32]:
        return draw_scene(np.random.default_rng([seed, stream, index]), size)

    def painting(stream: int, index: int, motif: NDArray[np.float32]) -> NDArray[np.float32]:
        return paint(np.random.default_rng([seed, stream, index]), motif)

    for index in range(1, train + 1):
        yield "trainA", index, scene(TRAIN_A, index)
        yield "trainB", index, painting(BRUSH_TRAIN, index, scene(TRAIN_B, index))
    for index in range(1, test + 1):
        motif = scene(TEST, index)
        yield "testA", index, motif
        yield "testB", index, painting(BRUSH_TEST, index, motif)


def _save(image: NDArray[np.float32], path: Path) -> None:
    Image.fromarray(np.rint(image * 255).astype(np.uint8)).save(path)


if __name__ == "__main__":
    sys.exit(main())
