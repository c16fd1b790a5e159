"""`python -m tests.faults [KIND…] [--tries N] [--seed S]`: a table, and 1 if anything was lost or harmed."""

from __future__ import annotations

import argparse
import sys

from tests import faults


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"one of {', '.join(faults.names())}; default: all")
    parser.add_argument("--tries", type=int, help=f"of each kind; default: {faults.LONG_TRIES}, of kill 200")
    parser.add_argument("--seed", type=int, default=0, help="of the first try; each further one counts on")
    options = parser.parse_args()
    if unknown := [kind for kind in options.kinds if kind not in faults.names()]:
        parser.error(f"unknown kind of fault: {', '.join(unknown)}; there are {', '.join(faults.names())}")
    rows, details = [], []
    for name in options.kinds or faults.names():
        kind = faults.load(name)
        if kind.unable:
            rows.append((name, "0", "-", "-"))
            details.append(f"{name}: not tried: {kind.unable}")
            continue
        tries = options.tries or kind.long_tries
        seeds = range(options.seed, options.seed + tries)
        total = faults.repeat(kind, seeds, told=lambda seed, one, name=name: _progress(name, seed, one.good))
        rows.append((name, str(tries), str(len(total.lost)), str(len(total.harmed))))
        details += [f"{name}: lost: {words}" for words in total.lost]
        details += [f"{name}: harmed: {words}" for words in total.harmed]
    _print_table([("fault", "tries", "lost", "harmed"), *rows])
    print(*details, sep="\n", end="\n" if details else "")
    return int(any(int(count) for row in rows for count in row[2:] if count != "-"))


def _progress(name: str, seed: int, good: bool) -> None:
    print(f"{name} {seed}: {'ok' if good else 'FAILED'}", file=sys.stderr, flush=True)


def _print_table(rows: list[tuple[str, ...]]) -> None:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


if __name__ == "__main__":
    sys.exit(main())
