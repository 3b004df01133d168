"""Mean absolute error of translated pictures against their true counterparts.

python scripts/mean_error.py RESULTS TRUTH [INPUT]: RESULTS is a folder `images` of 02_inference.py
(--label says which pictures of it, default fake), TRUTH a folder with the same stems, INPUT the
untranslated pictures, whose error is what a translation has to beat.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def levels(path: Path, size: tuple[int, int] | None = None) -> np.ndarray:
    """An RGB picture as (H, W, 3) float64 in [0, 255], resized to (width, height) if given."""
    with Image.open(path) as image:
        rgb = image.convert("RGB")
    if size and rgb.size != size:
        rgb = rgb.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(rgb, dtype=np.float64)


def mean_error(pictures: dict[str, Path], truth: dict[str, Path]) -> float:
    """Mean over the stems of `truth` of the mean absolute difference, in levels of 0 to 255."""
    errors = []
    for stem, true_path in truth.items():
        true = levels(true_path)
        size = (true.shape[1], true.shape[0])
        errors.append(np.abs(levels(pictures[stem], size) - true).mean())
    return float(np.mean(errors))


def by_stem(folder: Path, ending: str = "") -> dict[str, Path]:
    """Stem without `ending` -> path, for the pictures of a folder whose stem has that ending."""
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in (".png", ".jpg"))
    return {p.stem.removesuffix(ending): p for p in paths if p.stem.endswith(ending)}


def main(argv: list[str] | None = None) -> int:
    """Print the error of the translation, and that of the input."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("truth", type=Path)
    parser.add_argument("input", type=Path, nargs="?")
    parser.add_argument("--label", default="fake", help="which pictures of RESULTS")
    args = parser.parse_args(argv)
    translated, truth = by_stem(args.results, f"_{args.label}"), by_stem(args.truth)
    common = {stem: path for stem, path in truth.items() if stem in translated}
    if not common:
        print(f"error: {args.results} and {args.truth} share no picture", file=sys.stderr)
        return 1
    print(f"mean absolute error over {len(common)} pictures, in levels of 0 to 255:")
    if args.input:
        print(f"  input against the truth:       {mean_error(by_stem(args.input), common):6.2f}")
    print(f"  translation against the truth: {mean_error(translated, common):6.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
