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
from typing import Any

import numpy as np

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
class Case:
    """A model and its rows."""

    name: str
    estimator: Any
    rows: list[list[Any]]
    frame: Any = None  # what it was trained on, where that had names

    def body(self, count: int, server: str) -> dict[str, Any]:
        rows = [self.rows[number % len(self.rows)] for number in range(count)]
        if self.frame is None and server == "mlserver":
            whole = {"name": "rows", "shape": [count, len(rows[0])], "datatype": "FP64", "data": rows}
            return {"inputs": [whole]}
        if self.frame is None:
            return {"inputs": rows} if server == "mlflow" else {"data": rows}
        names = list(self.frame.columns)
        if server == "mlflow":
            return {"dataframe_split": {"columns": names, "data": rows}}
        if server == "bentoml":
            return {"data": [dict(zip(names, row, strict=True)) for row in rows]}
        return {"data": rows}


@dataclass(frozen=True)
class Server:
    """How one server is started beside model.joblib; `python` None: this one."""

    name: str
    command: Callable[[Case, Path, int], list[str]]
    path: str = "/predict"
    requirements: tuple[str, ...] = ()


class NoAnswer(Exception):  # noqa: N818 - a reason to leave a server out
    """A server that does not start, or does not take what the others do."""


@dataclass(frozen=True)
class Measured:
    per_second: float
    median_s: float
    p99_s: float


def logistic() -> Case:
    from sklearn.datasets import load_iris
    from sklearn.linear_model import LogisticRegression

    data, target = load_iris(return_X_y=True)
    return Case("logistic regression", LogisticRegression(max_iter=500).fit(data, target), data.tolist())


def boosting() -> Case:
    """Twenty numbers, some missing, and ten texts."""
    import pandas as pd
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    random = np.random.default_rng(0)
    numbers = random.normal(size=(2000, 20))
    texts = random.choice(["red", "green", "blue", "grey"], size=(2000, 10))
    frame = pd.DataFrame(
        {f"n{place}": numbers[:, place] for place in range(20)} | {f"t{place}": texts[:, place] for place in range(10)}
    )
    frame.loc[::17, "n3"] = np.nan
    target = (numbers[:, 0] + (texts[:, 0] == "red") > 0.3).astype(int)
    prepare = ColumnTransformer(
        [
            ("numbers", make_pipeline(SimpleImputer(), StandardScaler()), [f"n{place}" for place in range(20)]),
            (
                "texts",
                OneHotEncoder(handle_unknown="ignore", sparse_output=False),
                [f"t{place}" for place in range(10)],
            ),
        ]
    )
    estimator = make_pipeline(prepare, HistGradientBoostingClassifier(random_state=0)).fit(frame, target)
    rows = json.loads(frame.dropna().head(500).to_json(orient="values"))
    return Case("gradient boosting", estimator, rows, frame)


def forest() -> Case:
    from sklearn.datasets import load_breast_cancer
    from sklearn.ensemble import RandomForestClassifier

    data, target = load_breast_cancer(return_X_y=True)
    estimator = RandomForestClassifier(n_estimators=200, random_state=0).fit(data, target)
    return Case("random forest", estimator, data.tolist())


def neighbours() -> Case:
    """Slow, by compiled code."""
    from sklearn.neighbors import KNeighborsClassifier

    rows = np.random.default_rng(0).normal(size=(20_000, 10))
    return Case("neighbours", KNeighborsClassifier().fit(rows, rows[:, 0] > 0), rows[:500].tolist())


def words() -> Case:
    """Without a path of its own, and slow in Python, which lets one thread at a time run."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    random = np.random.default_rng(0)
    texts = [" ".join(f"word{number}" for number in random.integers(0, 500, 20)) for _ in range(500)]
    estimator = make_pipeline(TfidfVectorizer(), LogisticRegression()).fit(texts, random.integers(0, 2, 500))
    return Case("words", estimator, [[text] for text in texts])


def uvicorn(app: str) -> Callable[[Case, Path, int], list[str]]:
    options = ["--no-access-log", "--log-level", "warning"]
    return lambda _case, _place, port: ["-m", "uvicorn", app, "--port", str(port), *options]


def bentoml(case: Case, _: Path, port: int) -> list[str]:
    service = "documented:Arrays" if case.frame is None else "documented:Frames"
    return ["-m", "bentoml", "serve", service, "--host", "127.0.0.1", "--port", str(port)]


def amlcore(_: Case, place: Path, port: int) -> list[str]:
    return ["-m", "bentoml", "serve", str((place / "bento").resolve()), "--host", "127.0.0.1", "--port", str(port)]


def mlflow(_case: Case, _place: Path, port: int) -> list[str]:
    options = ["--env-manager", "local", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    return ["-m", "mlflow", "models", "serve", "--model-uri", "mlflow-model", *options]


def mlserver(case: Case, place: Path, port: int) -> list[str]:
    if case.frame is not None:
        raise NoAnswer("it takes no columns of several types")
    folder = place / "mlserver"
    folder.mkdir(exist_ok=True)
    settings = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "parallel_workers": 0}
    (folder / "settings.json").write_text(json.dumps({**settings, "host": "127.0.0.1", "debug": False}))
    model = {"implementation": "mlserver_sklearn.SKLearnModel", "parameters": {"uri": str(place / "model.joblib")}}
    (folder / "model-settings.json").write_text(json.dumps({"name": "bench", **model}))
    return ["-c", "from mlserver.cli import main; main()", "start", str(folder)]


BARE = Server("bare ASGI", uvicorn("bare:app"))
OURS = Server("amlcore", amlcore)
DOCUMENTED = Server("bentoml", bentoml)
OTHERS = (
    DOCUMENTED,
    Server("fastapi", uvicorn("with_fastapi:app"), requirements=("fastapi", "uvicorn", "httptools", "uvloop")),
    Server("mlflow", mlflow, path="/invocations", requirements=("mlflow",)),
    Server("mlserver", mlserver, path="/v2/models/bench/infer", requirements=("mlserver", "mlserver-sklearn")),
)


def main() -> None:
    """All servers, or those named as arguments beside bare ASGI, ours and BentoML as documented."""
    named = set(sys.argv[1:]) - {HEALTH}
    wanted = [server for server in OTHERS if server is DOCUMENTED or not named or server.name in named]
    if sys.argv[1:] == [HEALTH]:
        wanted = []
    os.environ.update(OMP_NUM_THREADS="1", BENTOML_DO_NOT_TRACK="True", MLFLOW_DISABLE_TELEMETRY="true")
    print(
        f"client: {'wrk' if shutil.which('wrk') else 'tests/support/load.py'}; {ROUNDS} rounds of {SECONDS:g} s\n",
        flush=True,
    )
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        os.environ["BENTOML_HOME"] = str(root / "bentoml")
        pythons = {server.name: interpreter(server, root) for server in wanted}
        servers = [BARE, OURS, *(server for server in wanted if pythons[server.name] is not None)]
        for case in (logistic(), boosting(), forest(), neighbours(), words()):
            place = lay_out(case, root / case.name.replace(" ", "-"), mlflow=pythons.get("mlflow"))
            if wanted and case.name in TARGETS:
                compare(case, servers, place, pythons)
            if wanted == [] or HEALTH in sys.argv[1:] or not sys.argv[1:]:
                ask_for_health(case, place)


def interpreter(server: Server, root: Path) -> str | None:
    """This Python, or one of a throwaway environment with what `server` needs; None, with its reason, without one."""
    if not server.requirements:
        return PYTHON
    same = [f"{name}=={metadata.version(name)}" for name in ("scikit-learn", "numpy", "pandas", "joblib")]
    python = root / f"env-{server.name}" / "bin" / "python"
    uv = str(Path(PYTHON).parent / "uv")
    for command in (
        [uv, "venv", "--quiet", "--python", PYTHON, str(python.parent.parent)],
        [uv, "pip", "install", "--quiet", "--python", str(python), *same, *server.requirements],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            print(f"{server.name} is left out: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
            return None
    return str(python)


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
                begun = time.perf_counter()
                connection.request("GET", "/livez")
                connection.getresponse().read()
                times.append(time.perf_counter() - begun)
                time.sleep(0.01)
            connection.close()
            said = batches.stdout.read() if batches.stdout is not None else ""
            if batches.returncode != 0:
                raise NoAnswer(f"{case.name}: {rows} rows a request were not answered")
            times.sort()
            print(
                f"health of {case.name} under {rows} rows a request, {BATCHES} at once "
                f"({body.stat().st_size / 1e6:.1f} MB, {json.loads(said)[0]:.1f} a second): "
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
    begun = time.perf_counter()
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
            if process.poll() is not None or time.perf_counter() - begun > 120:
                said = (place / f"{server.name}.log").read_text().strip().splitlines() or ["it says nothing"]
                raise NoAnswer(f"it does not answer: {said[-1]}")
            time.sleep(0.02)
        seconds = time.perf_counter() - begun
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
    found, below = [root], [root]
    while below:
        children = Path(f"/proc/{below[0]}/task/{below[0]}/children").read_text().split()
        below = [*below[1:], *map(int, children)]
        found += map(int, children)
    return max(found, key=resident_mb)


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
    said = client(["wrk", "-t1", f"-c{connections}", f"-d{SECONDS:g}s", "--latency", "-s", str(script), target])
    if "Non-2xx" in said:
        raise NoAnswer(f"{path} refused some of what it was sent")
    quantiles = dict(re.findall(r"^\s+(50|99)%\s+(\S+)", said, re.MULTILINE))
    return Measured(
        float(re.findall(r"Requests/sec:\s+(\S+)", said)[0]), *(in_s(quantiles[key]) for key in ("50", "99"))
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
