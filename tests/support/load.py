"""Load: many connections that ask one service without a pause, as light as Python can be."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path


@dataclass
class Outcome:
    """What a load was answered."""

    statuses: Counter[int] = field(default_factory=Counter)
    lost: int = 0  # requests that were sent and never answered, since the connection broke
    seconds: list[float] = field(default_factory=list)  # of each answer


def request(body: bytes, *, path: str = "/predict", key: str | None = None) -> bytes:
    """A POST as its bytes."""
    authorization = f"authorization: Bearer {key}\r\n" if key else ""
    head = f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n{authorization}"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


async def ask(port: int, sent: bytes, *, until: float, outcome: Outcome, connections: int) -> None:
    """Send `sent` over and over until the monotonic clock says `until`; a broken connection is opened again."""
    await asyncio.gather(*(_connection(port, sent, until, outcome) for _ in range(connections)))


async def _connection(port: int, sent: bytes, until: float, outcome: Outcome) -> None:
    while time.monotonic() < until:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        try:
            await _exchange(reader, writer, sent, until, outcome)
        except (OSError, asyncio.IncompleteReadError):
            outcome.lost += 1
        finally:
            writer.close()


async def _exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, sent: bytes, until: float, outcome: Outcome
) -> None:
    while (begun := time.monotonic()) < until:
        writer.write(sent)
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        outcome.statuses[int(head[9:12])] += 1
        outcome.seconds.append(time.monotonic() - begun)


def main() -> None:
    """`python -m tests.support.load PORT BODY_FILE CONNECTIONS SECONDS PATH`: requests a second, median and p99."""
    port, connections, seconds = int(sys.argv[1]), int(sys.argv[3]), float(sys.argv[4])
    outcome = Outcome()
    sent = request(Path(sys.argv[2]).read_bytes(), path=sys.argv[5])
    asyncio.run(ask(port, sent, until=time.monotonic() + seconds, outcome=outcome, connections=connections))
    if set(outcome.statuses) != {200}:
        raise SystemExit(f"answers: {dict(outcome.statuses)}, lost: {outcome.lost}")
    times = sorted(outcome.seconds)
    quantiles = [times[int(len(times) * share)] for share in (0.5, 0.99)]
    print(json.dumps([len(times) / seconds, *quantiles]))


if __name__ == "__main__":
    main()
