"""`make bench`: what amlcore costs, as ratios; each pair runs in turn, medians of pairs."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks import slurm, sweep

ROOT = Path(__file__).parent.parent
AML = str(Path(sys.executable).parent / "aml")
PAIRS = 9


@dataclass(frozen=True)
class Pair:
    """A command, the one it is measured against, and the most that it may cost of it."""

    name: str
    command: list[str]
    against: list[str]
    at_most: float


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        script = root / "train_iris.py"
        script.write_text((ROOT / "scripts/iris/train_iris.py").read_text())
        sklearn = _once([AML, "env", "build", "sklearn"], root).strip()
        standin = str(ROOT / "amlcore/worker/standins/amlcore")
        _once([AML, "run", script.name, "environment=current"], root)
        hydra = [sys.executable, "-c", "import hydra"]
        plain = ["env", f"PYTHONPATH={standin}", sklearn, script.name]
        run = [AML, "run", script.name]
        pairs = [
            Pair("aml --help ÷ import hydra", [AML, "--help"], hydra, 2.5),
            Pair("aml runs ÷ import hydra", [AML, "runs"], hydra, 2.5),
            Pair("aml run (sklearn) ÷ python", run, plain, 1.3),
            Pair("aml run (current) ÷ python", [*run, "environment=current"], [sys.executable, script.name], 1.3),
        ]
        print(f"{'':30} {'ratio':>6} {'at most':>8} {'ms':>7} {'against':>8}")
        for pair in pairs:
            _measure(pair, root)
        (root / "sweep").mkdir()
        sweep.main(root / "sweep")
        if _has_slurm():
            (root / "slurm").mkdir()
            slurm.main(root / "slurm")
        else:
            print("\nno Slurm answers here: tests/slurm/up starts one")


def _has_slurm() -> bool:
    ping = ["scontrol", "ping"]
    return shutil.which(ping[0]) is not None and subprocess.run(ping, capture_output=True, check=False).returncode == 0


def _measure(pair: Pair, root: Path) -> None:
    _once(pair.command, root), _once(pair.against, root)
    times = [(_time(pair.command, root), _time(pair.against, root)) for _ in range(PAIRS)]
    ratio = statistics.median(one / other for one, other in times)
    ours, others = (statistics.median(column) * 1000 for column in zip(*times, strict=True))
    print(f"{pair.name:30} {ratio:6.2f} {pair.at_most:8.2f} {ours:7.0f} {others:8.0f}", flush=True)


def _time(command: list[str], root: Path) -> float:
    begun = time.perf_counter()
    _once(command, root)
    return time.perf_counter() - begun


def _once(command: list[str], root: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, text=True).stdout


if __name__ == "__main__":
    main()
