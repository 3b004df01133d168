"""Generate a data set with ground truth from two sets of emoji: Google's (A) and Twitter's (B).

    python datasets/make_emoji_dataset.py
    python datasets/make_emoji_dataset.py --packages ./downloads    (no npm, no network)

The images come from the npm packages emoji-datasource-google and emoji-datasource-twitter. testA
and testB show the same emoji under the same names (the code points). Of the others one half is in
trainA and the other half in trainB. Flags and skin tones are left out; images are 64 x 64 pixels
on white.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from pathlib import Path

import numpy as np
from emoji_packages import VERSION, EmojiPackage, fetch, read_package, usable_names
from made_folder import MadeFolder, ProgramError, plain, whole_number

PROGRAM = "make_emoji_dataset"


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
        description="Make a data set from Google's (A) and Twitter's (B) emoji.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("./datasets/emoji"), help="folder to make")
    parser.add_argument(
        "--packages",
        type=Path,
        help="folder with the two .tgz files of 'npm pack'; without it npm fetches them",
    )
    parser.add_argument("--test", type=whole_number(1, 100000), default=200, help="test pairs")
    parser.add_argument(
        "--seed", type=whole_number(0, 2**31 - 1), default=0, help="another seed, another split"
    )
    return parser


def _make(args: argparse.Namespace) -> None:
    """Write all images unless the folder is complete."""
    settings = {"test": args.test, "seed": args.seed, "packages": VERSION}
    folder = MadeFolder(args.out, "emoji.json", re.compile(r"[0-9a-f-]+\.png"), settings)
    if folder.is_complete():
        print(f"{plain(args.out)}: complete with these settings, left unchanged")
        return
    folder.check()
    google, twitter = _packages(args.packages)
    parts = split(usable_names(google, twitter), args.test, args.seed)
    folder.begin()
    for phase, names in parts.items():
        source = google if phase.endswith("A") else twitter
        for name in names:
            source.image(name).save(args.out / phase / name)
    folder.finish()
    counts = ", ".join(f"{phase} {len(names)}" for phase, names in parts.items())
    print(f"done: {counts}; train with --dataroot {plain(args.out)}")


def _packages(given: Path | None) -> tuple[EmojiPackage, EmojiPackage]:
    """Read the packages of Google and Twitter from the folder ``given``, or fetch them with npm."""
    if given is not None:
        return read_package(given, "google"), read_package(given, "twitter")
    with tempfile.TemporaryDirectory() as name:
        temporary = Path(name)
        for vendor in ("google", "twitter"):
            print(f"fetching the emoji of {vendor} with npm (about 70 MB) ...", flush=True)
            fetch(temporary, vendor)
        return read_package(temporary, "google"), read_package(temporary, "twitter")


def split(names: list[str], test: int, seed: int) -> dict[str, list[str]]:
    """Return the file names of each phase: testA equals testB, all others are disjoint.

    Raises ProgramError where ``test`` leaves fewer than two names for training.
    """
    if len(names) - test < 2:
        raise ProgramError(
            f"--test {test}: there are {len(names)} emoji; choose at most {len(names) - 2}", code=2
        )
    order = np.random.default_rng(seed).permutation(len(names))
    shuffled = [names[i] for i in order]
    middle = test + (len(names) - test) // 2
    same = sorted(shuffled[:test])
    return {
        "trainA": sorted(shuffled[test:middle]),
        "trainB": sorted(shuffled[middle:]),
        "testA": same,
        "testB": same,
    }


if __name__ == "__main__":
    sys.exit(main())
