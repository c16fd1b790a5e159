"""`make bench-page`: what the page of all runs costs, beside `import mlflow` in the same interpreter, as ratios."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from amlcore.page.environment import find_interpreter
from amlcore.page.launch import SERVER, server_environment
from amlcore.workspace import Workspace
from tests.support.ports import free_ports
from tests.support.run_records import write_run

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "5"))
RUNS = int(os.environ.get("BENCH_RUNS", "20000"))
CPU_AT_MOST, MEMORY_AT_MOST, FIRST_AT_MOST_S = 1.6, 1.5, 2.0
IMPORT = (
    "import mlflow, resource; used = resource.getrusage(resource.RUSAGE_SELF);"
    "print(used.ru_utime + used.ru_stime, used.ru_maxrss)"
)
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """What a process has taken so far."""

    cpu_s: float
    memory_kb: float


class Server:
    """The page of a workspace."""

    def __init__(self, python: Path, root: Path) -> None:
        (port,) = free_ports(1)
        self._url = f"http://127.0.0.1:{port}"
        self._process = subprocess.Popen(
            [str(python), "-I", "-W", "ignore", str(SERVER), str(root), port],
            env=server_environment(Workspace(root=str(root)), int(port)),
            stderr=subprocess.DEVNULL,
        )
        while not self._answers():
            time.sleep(0.02)

    def __enter__(self) -> Server:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()

    @property
    def cost(self) -> Cost:
        """What it has taken since its start; the memory as its share of pages that others map too (Pss)."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        lines = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text().splitlines()
        pss = next(float(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return Cost((int(fields[11]) + int(fields[12])) / TICKS, pss)

    def first_table(self, experiments: list[str]) -> float:
        """Ask for the newest hundred runs, and return the seconds until they are there."""
        body = {"experiment_ids": experiments, "max_results": 100, "order_by": ["attributes.start_time DESC"]}
        request = urllib.request.Request(
            f"{self._url}/ajax-api/2.0/mlflow/runs/search",
            json.dumps(body).encode(),
            {"Content-Type": "application/json"},
        )
        began = time.perf_counter()
        with urllib.request.urlopen(request) as answer:
            runs = json.load(answer)["runs"]
        assert len(runs) == min(100, RUNS)
        return time.perf_counter() - began

    def _answers(self) -> bool:
        assert self._process.poll() is None
        try:
            with urllib.request.urlopen(f"{self._url}/") as answer:
                return answer.status == 200
        except urllib.error.URLError:
            return False


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_CACHE_HOME"], caches = str(Path(folder, "cache")), os.environ.get("XDG_CACHE_HOME")
        root = Path(folder, "workspace")
        for number in range(12):
            write_run(root, number, metrics={"loss": 1 / (1 + number)})
        python = _interpreter(root, caches)
        imports, servers = [], []
        for _ in range(ROUNDS):
            imports.append(_import(python))
            with Server(python, root) as server:
                servers.append(server.cost)
        print(f"{'the page ÷ import mlflow':34} {'ratio':>6} {'at most':>8}")
        _show(
            "CPU until it answers",
            [(one.cpu_s, two.cpu_s) for one, two in zip(servers, imports, strict=True)],
            CPU_AT_MOST,
        )
        pairs = [(one.memory_kb, two.memory_kb) for one, two in zip(servers, imports, strict=True)]
        _show("memory", pairs, MEMORY_AT_MOST)
        _many(python, Path(folder, "many"))


def _many(python: Path, root: Path) -> None:
    """The first table of a workspace of many runs: as it is indexed, and the next time."""
    for number in range(RUNS):
        metrics = {"loss": 1 / (1 + number), "accuracy": number % 100 / 100}
        write_run(root, number, experiment=f"e{number % 4}", parameters={"depth": number % 9}, metrics=metrics)
    experiments = [f"e{number}" for number in range(4)]
    with Server(python, root) as server:
        indexing = server.first_table(experiments)
    with Server(python, root) as server:
        began = server.cost
        first, again = server.first_table(experiments), server.first_table(experiments)
        ended = server.cost
    print(f"\n{RUNS} runs: indexed in {indexing:.1f} s; the first table then takes {first:.2f} s,", end=" ")
    print(f"at most {FIRST_AT_MOST_S:.0f}; the next {again:.2f} s;", end=" ")
    print(f"{(ended.memory_kb - began.memory_kb) / RUNS:.1f} kB a run")


def _interpreter(root: Path, caches: str | None) -> Path:
    """The interpreter of the page, from the cache of environments that the user has."""
    home = Path(caches or "~/.cache").expanduser() / "amlcore" / "environments"
    folder = os.environ.get("AMLCORE_ENVIRONMENTS", str(home))
    return find_interpreter(Workspace(root=str(root), environments_folder=folder), log=lambda _: None)


def _import(python: Path) -> Cost:
    printed = subprocess.run([str(python), "-c", IMPORT], check=True, capture_output=True, text=True).stdout
    cpu_s, memory_kb = map(float, printed.split())
    return Cost(cpu_s, memory_kb)


def _show(what: str, pairs: list[tuple[float, float]], at_most: float) -> None:
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"{what:34} {ratio:6.2f} {at_most:8.1f}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
