"""`make bench-mlflow`: what a run costs that logs through MLflow, beside MLflow's own default store, as ratios."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

AML = str(Path(sys.executable).parent / "aml")
PAIRS = int(os.environ.get("BENCH_ROUNDS", "7"))
VERSION = os.environ.get("BENCH_MLFLOW", "3.17.2")
AT_MOST = 0.2

SCRIPT = """
import json, time
import mlflow

wall, cpu = time.perf_counter(), time.process_time()
with mlflow.start_run():
    started = time.perf_counter()
    for step in range(100):
        mlflow.log_metric("loss", 1 / (1 + step), step=step)
    logged = time.perf_counter()
    mlflow.log_text("one", "artifact.txt")
ended = time.perf_counter()
print(json.dumps([ended - wall, time.process_time() - cpu, started - wall, logged - started, ended - logged]))
"""
PARTS = ("all, wall", "all, CPU", "start_run", "100 times log_metric", "log_text and the end")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "script.py").write_text(SCRIPT)
        (root / "requirements.txt").write_text(f"mlflow=={VERSION}\n")
        environment = "environment.file=requirements.txt"
        python = _printed([AML, "env", "build", environment], root).strip()
        ours = [AML, "run", "script.py", environment]
        _times(ours, root)
        others = root / "others"
        others.mkdir()
        shutil.copy(root / "script.py", others)
        theirs = [python, "script.py"]
        first = _times(theirs, others)  # it makes its database
        pairs = [(_times(ours, root), _times(theirs, others)) for _ in range(PAIRS)]
        print(f"MLflow {VERSION}, medians of {PAIRS} pairs; its own default store begins with {first[0] * 1000:.0f} ms")
        print(f"{'':22} {'ratio':>6} {'at most':>8} {'ms':>7} {'against':>8}")
        for number, part in enumerate(PARTS):
            ratio = statistics.median(one[number] / other[number] for one, other in pairs)
            one, other = (statistics.median(pair[side][number] for pair in pairs) * 1000 for side in (0, 1))
            limit = f"{AT_MOST:8.2f}" if number < 2 else " " * 8
            print(f"{part:22} {ratio:6.3f} {limit} {one:7.1f} {other:8.1f}", flush=True)


def _times(command: list[str], folder: Path) -> list[float]:
    """What the script says of its own times, in seconds."""
    return list(json.loads(_printed(command, folder).strip().splitlines()[-1]))


def _printed(command: list[str], folder: Path) -> str:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("MLFLOW_")}
    variables["MLFLOW_DISABLE_TELEMETRY"] = "true"
    return subprocess.run(command, cwd=folder, env=variables, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
