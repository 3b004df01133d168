"""Measure how fast this machine trains, translates and loads: python scripts/benchmark.py train

`train` measures training steps, `infer` 02_inference.py with its start-up, `load` reading pairs of
images, `ranks` steps of several processes. Every variant is warmed up, then all are repeated in
turn; medians are printed, with their ratios to the plain variant. --help after the word lists the
flags.
"""

import argparse
import json
import sys
from pathlib import Path

import benchmark_count
import benchmark_inference
import benchmark_load
import benchmark_ranks
import benchmark_train

Row = dict[str, float | str]

PROGRAMS = {
    "train": benchmark_train,
    "infer": benchmark_inference,
    "load": benchmark_load,
    "count": benchmark_count,
    "ranks": benchmark_ranks,
}


def main(argv: list[str] | None = None) -> int:
    """Measure and print a row for each variant."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="what", required=True)
    for name, program in PROGRAMS.items():
        command = commands.add_parser(
            name, description=program.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        command.add_argument("--json", type=Path, help="write the rows to this file too")
        program.add_arguments(command)
    args, more = parser.parse_known_args(argv)
    if more and args.what not in ("train", "count", "ranks"):
        parser.error(f"unrecognized arguments: {' '.join(more)}")
    args.more = more  # flags of 01_train.py
    rows = PROGRAMS[args.what].run(args)
    print(table(rows))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")
    return 0


def table(rows: list[Row]) -> str:
    """Format rows, whose keys may differ, as lines below the names of their columns."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    cells = [columns, *([shown(row.get(column, "")) for column in columns] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(columns))]
    lines = []
    for line in cells:
        first, *rest = zip(line, widths, strict=True)
        lines.append("  ".join([first[0].ljust(first[1]), *(cell.rjust(w) for cell, w in rest)]))
    return "\n".join(lines)


def shown(value: float | str) -> str:
    """Format a number with three significant digits, and whole numbers whole."""
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


if __name__ == "__main__":
    sys.exit(main())
