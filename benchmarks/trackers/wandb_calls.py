"""A tracker of `make bench-tracking`: wandb offline, in the working folder.

It has no list of offline runs: they are shown by a server once they are uploaded. What is timed instead is reading
their files, with wandb's own messages, which is the least that a list needs.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path

import wandb
from wandb.proto.wandb_internal_pb2 import Record
from workload import BEST, DEPTH, SHOWN, ShortRun, main

BLOCK, HEADER = 32768, 7
FULL, LAST = 1, 4


def record(run: ShortRun) -> None:
    with wandb.init(project="bench", config=run.parameters) as recorded:
        for step, accuracy in enumerate(run.accuracies):
            recorded.log({"accuracy": accuracy}, step=step)


def close() -> None:
    """Each run was kept when it ended."""


def newest() -> list[float]:
    return [accuracy for _, accuracy in map(_read, _files()[:SHOWN])]


def best() -> list[float]:
    accuracies = [accuracy for depth, accuracy in map(_read, _files()) if depth == DEPTH and accuracy > BEST]
    return sorted(accuracies, reverse=True)[:SHOWN]


def _files() -> list[Path]:
    return sorted(Path("wandb").glob("offline-run-*/*.wandb"), key=lambda path: path.parent.name, reverse=True)


def _read(path: Path) -> tuple[float, float]:
    """The depth and the last accuracy of a run."""
    depth = accuracy = float("nan")
    for data in _records(path.read_bytes()):
        message = Record.FromString(data)
        depth = _value("depth", message.run.config.update, depth)
        accuracy = _value("accuracy", message.summary.update, accuracy)
    return depth, accuracy


def _value(name: str, items: Iterable[object], before: float) -> float:
    values = [item.value_json for item in items if name in (item.key, *item.nested_key)]
    return json.loads(values[-1]) if values else before


def _records(data: bytes) -> Iterator[bytes]:
    """The records of a file of wandb, which has the form of LevelDB's log; each may be in several blocks."""
    place, parts = HEADER, []
    while place + HEADER <= len(data):
        rest = BLOCK - place % BLOCK
        if rest < HEADER:
            place += rest
            continue
        _, size, kind = struct.unpack_from("<IHB", data, place)
        parts.append(data[place + HEADER : place + HEADER + size])
        place += HEADER + size
        if kind in (FULL, LAST):
            yield b"".join(parts)
            parts = []


if __name__ == "__main__":
    main(record=record, close=close, newest=newest, best=best)
