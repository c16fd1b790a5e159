"""`make bench-serving`: services side by side, one worker and one core each, as ratios to a bare ASGI app."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from benchmarks import environments
from benchmarks.serving_cases import (
    BARE,
    DOCUMENTED,
    OTHERS,
    OURS,
    Case,
    NoAnswer,
    Server,
    boosting,
    forest,
    logistic,
    neighbours,
    words,
)
from tests.support.serving_models import LOCK, package, register

HERE = Path(__file__).parent
CLIENT = "wrk" if shutil.which("wrk") else "tests/support/load.py"
PYTHON = sys.executable
CONNECTIONS = (1, 8, 64)
SECONDS = float(os.environ.get("BENCH_SECONDS", "3"))
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
HEALTH = "health"
"""As the only argument: nothing but how soon health is answered beside large batches."""

LARGE, BATCHES = (1000, 10_000), 4
TARGETS = {"logistic regression": 2.0, "gradient boosting": 10.0, "random forest": 15.0}


@dataclass(frozen=True)
class Measured:
    per_second: float
    median_s: float
    p99_s: float


def main() -> None:
    """All servers, or those named as arguments beside bare ASGI, ours and BentoML as documented."""
    named = set(sys.argv[1:]) - {HEALTH}
    others = [server for server in OTHERS if server is DOCUMENTED or not named or server.name in named]
    if sys.argv[1:] == [HEALTH]:
        others = []
    os.environ.update(OMP_NUM_THREADS="1", BENTOML_DO_NOT_TRACK="True", MLFLOW_DISABLE_TELEMETRY="true")
    print(
        f"client: {'wrk' if shutil.which('wrk') else 'tests/support/load.py'}; {ROUNDS} rounds of {SECONDS:g} s\n",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        os.environ["BENTOML_HOME"] = str(root / "bentoml")
        pythons = {server.name: interpreter(server, root) for server in others}
        servers = [BARE, OURS, *(server for server in others if pythons[server.name] is not None)]
        for case in (logistic(), boosting(), forest(), neighbours(), words()):
            place = lay_out(case, root / case.name.replace(" ", "-"), mlflow=pythons.get("mlflow"))
            if others and case.name in TARGETS:
                compare(case, servers, place, pythons)
            if others == [] or HEALTH in sys.argv[1:] or not sys.argv[1:]:
                ask_for_health(case, place)


def interpreter(server: Server, root: Path) -> str | None:
    """This Python, or one of a throwaway environment with what `server` needs; None, with its reason, without one."""
    if not server.requirements:
        return PYTHON
    same = [f"{name}=={metadata.version(name)}" for name in ("scikit-learn", "numpy", "pandas", "joblib")]
    return environments.build(server.name, [*same, *server.requirements], folder=root)


def lay_out(case: Case, place: Path, *, mlflow: str | None) -> Path:
    """A folder with the model in the form of each server."""
    import joblib

    from amlcore.serving.deployment import Deployment
    from amlcore.serving.packaging import service_settings
    from amlcore.serving.proof_process import run_proof

    place.mkdir()
    joblib.dump(case.estimator, place / "model.joblib")
    for file in (HERE / "servers").glob("*.py"):
        shutil.copy(file, place)
    model = register(place, case.estimator, name="bench", frame=case.frame, resource_configuration=None)
    deployment = Deployment(workers=1)
    proof = run_proof(model, service_settings(model, deployment), python=Path(PYTHON))
    (place / "bento").symlink_to(package(model, deployment, serving_lock=LOCK, proof=proof).path)
    if mlflow is not None:
        save = "import joblib, mlflow.sklearn as m; m.save_model(joblib.load('model.joblib'), 'mlflow-model', {})"
        save = save.format("serialization_format='cloudpickle'")  # its default refuses types of scikit-learn's own
        subprocess.run([mlflow, "-c", save], cwd=place, check=True, capture_output=True)
    return place


def compare(case: Case, servers: list[Server], place: Path, pythons: dict[str, str | None]) -> None:
    """One table: all servers of one model, each loaded in turn, several times over."""
    print(f"## {case.name} (target: {TARGETS[case.name]:g} times bare ASGI, one row)")
    print(f"{'':12}{'c1':>7}{'c8':>7}{'c64':>7}{'p99 c64':>9}{'1000 rows':>11}{'start':>8}{'memory':>8}")
    loads = [*((1, count) for count in CONNECTIONS), (1000, 1)]
    results: dict[tuple[str, int, int], list[Measured]] = {}
    starts: dict[str, list[float]] = {}
    memory: dict[str, int] = {}

    def measure(server: Server) -> None:
        with running(server, case, place, pythons.get(server.name) or PYTHON) as (port, pid, seconds):
            starts.setdefault(server.name, []).append(seconds)
            for rows, connections in loads:
                body = place / f"{server.name}-{rows}.json"
                body.write_text(json.dumps(case.body(rows, server.name)))
                measured = load(port, server.path, body, connections)
                results.setdefault((server.name, rows, connections), []).append(measured)
            memory[server.name] = max(memory.get(server.name, 0), resident_mb(pid))

    for _ in range(ROUNDS):
        for server in list(servers):
            try:
                measure(server)
            except NoAnswer as reason:
                print(f"{server.name:12} is left out: {reason}", flush=True)
                servers = [other for other in servers if other is not server]
    for server in servers:
        line = [
            against_bare(results, server.name, rows, connections, lambda one: one.per_second)
            for rows, connections in loads[:3]
        ]
        line.append(against_bare(results, server.name, 1, 64, lambda one: one.p99_s))
        line.append(against_bare(results, server.name, 1000, 1, lambda one: one.median_s))
        start = statistics.median(starts[server.name]) / statistics.median(starts[DOCUMENTED.name])
        shown = "".join(f"{value:{width}.2f}" for value, width in zip(line, (7, 7, 7, 9, 11), strict=True))
        print(f"{server.name:12}{shown}{start:8.2f}{memory[server.name] / memory[DOCUMENTED.name]:8.2f}", flush=True)
    best = {count: statistics.median(one.per_second for one in results[BARE.name, 1, count]) for count in CONNECTIONS}
    print("bare ASGI, requests/s: " + ", ".join(f"c{count} {value:.0f}" for count, value in best.items()))
    print("p99 and 1000 rows: time against bare ASGI; start and memory: against bentoml as documented\n", flush=True)


def ask_for_health(case: Case, place: Path) -> None:
    """How long /livez takes while every thread of a worker has a large batch, and more wait."""
    with running(OURS, case, place, PYTHON) as (port, _, _):
        for rows in LARGE:
            body = place / f"health-{rows}.json"
            body.write_text(json.dumps(case.body(rows, OURS.name)))
            seconds = str(max(SECONDS, 3.0))
            command = [PYTHON, "-m", "tests.support.load", str(port), str(body), str(BATCHES), seconds, OURS.path]
            batches = subprocess.Popen([*on_core(1), *command], cwd=HERE.parent, stdout=subprocess.PIPE, text=True)
            times = []
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            while batches.poll() is None:
                started = time.perf_counter()
                connection.request("GET", "/livez")
                connection.getresponse().read()
                times.append(time.perf_counter() - started)
                time.sleep(0.01)
            connection.close()
            output = batches.stdout.read() if batches.stdout is not None else ""
            if batches.returncode != 0:
                raise NoAnswer(f"{case.name}: {rows} rows a request were not answered")
            times.sort()
            print(
                f"health of {case.name} under {rows} rows a request, {BATCHES} at once "
                f"({body.stat().st_size / 1e6:.1f} MB, {json.loads(output)[0]:.1f} a second): "
                f"median {statistics.median(times) * 1e3:.1f} ms, p99 {times[int(len(times) * 0.99)] * 1e3:.1f} ms, "
                f"max {times[-1] * 1e3:.1f} ms of {len(times)}; at most 100 wanted",
                flush=True,
            )


def against_bare(
    results: dict[tuple[str, int, int], list[Measured]],
    server: str,
    rows: int,
    connections: int,
    value: Callable[[Measured], float],
) -> float:
    """The median, over the rounds, of what `server` reached against what bare ASGI reached in the same round."""
    pairs = zip(results[server, rows, connections], results[BARE.name, rows, connections], strict=True)
    return statistics.median(value(one) / value(bare) for one, bare in pairs)


@contextmanager
def running(server: Server, case: Case, place: Path, python: str) -> Iterator[tuple[int, int, float]]:
    """Its port, the process that answers, and the seconds from start to first answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    body = json.dumps(case.body(1, server.name)).encode()
    started = time.perf_counter()
    with (place / f"{server.name}.log").open("wb") as log:
        process = subprocess.Popen(
            [*on_core(0), python, *server.command(case, place, port)],
            cwd=place,
            env={**os.environ, "PATH": f"{Path(python).parent}:{os.environ['PATH']}"},
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        while not answers(port, server.path, body):
            if process.poll() is not None or time.perf_counter() - started > 120:
                output = (place / f"{server.name}.log").read_text().strip().splitlines() or ["it says nothing"]
                raise NoAnswer(f"it does not answer: {output[-1]}")
            time.sleep(0.02)
        seconds = time.perf_counter() - started
        yield port, answering(process.pid), seconds
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(20)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # what it has left behind
        process.wait()


def answers(port: int, path: str, body: bytes) -> bool:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}{path}", data=body, headers={"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30):
            return True
    except OSError as error:
        if isinstance(error, urllib.error.HTTPError) and error.code not in (502, 503):
            raise NoAnswer(f"{path} answers {error.code} {error.read()[:300]!r}") from None
        return False


def answering(root: int) -> int:
    """Of a process and those below it, the one with the most memory: the one that has loaded the model."""
    pids, below = [root], [root]
    while below:
        children = Path(f"/proc/{below[0]}/task/{below[0]}/children").read_text().split()
        below = [*below[1:], *map(int, children)]
        pids += map(int, children)
    return max(pids, key=resident_mb)


def resident_mb(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") >> 20


def load(port: int, path: str, body: Path, connections: int) -> Measured:
    if shutil.which("wrk") is None:
        command = [PYTHON, "-m", "tests.support.load", str(port), str(body), str(connections), str(SECONDS), path]
        return Measured(*json.loads(client(command)))
    script = body.with_suffix(".lua")
    head = "wrk.method = 'POST'\nwrk.headers['Content-Type'] = 'application/json'\n"
    script.write_text(f"{head}wrk.body = [==[{body.read_text()}]==]\n")
    target = f"http://127.0.0.1:{port}{path}"
    output = client(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS:g}s", "--latency", "-s", str(script), target])
    if "Non-2xx" in output:
        raise NoAnswer(f"{path} refused some of what it was sent")
    quantiles = dict(re.findall(r"^\s+(50|99)%\s+(\S+)", output, re.MULTILINE))
    return Measured(
        float(re.findall(r"Requests/sec:\s+(\S+)", output)[0]), *(in_s(quantiles[key]) for key in ("50", "99"))
    )


def client(command: list[str]) -> str:
    command = [*on_core(1), *command]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=HERE.parent).stdout


def on_core(number: int) -> list[str]:
    """The server on one core and the client on another, where there are two."""
    return ["taskset", "-c", str(number)] if shutil.which("taskset") and (os.cpu_count() or 1) > 1 else []


def in_s(text: str) -> float:
    """A time as wrk writes it, such as 1.25ms."""
    number, unit = re.fullmatch(r"([\d.]+)(us|ms|s|m)", text).groups()  # type: ignore[union-attr]
    return float(number) * {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0}[unit]


if __name__ == "__main__":
    main()
