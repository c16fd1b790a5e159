"""No route: the whole flow, from script to answer, without a network; no host name is even looked up.

`python -m tests.faults.no_route SEED FOLDER` is one try, inside network and mount namespaces of its own.
"""

from __future__ import annotations

import fcntl
import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.faults import Outcome

# A filesystem that is unmounted outside, by another kind of fault, is unmounted in here too.
OWN_MOUNTS = ["--mount", "--propagation", "slave"]
NAMESPACES = ["unshare", "--net", *OWN_MOUNTS, *([] if os.geteuid() == 0 else ["--map-root-user"])]
ONE = "deployment.workers=1"
START_S = 120.0

SCRIPT = """
import joblib, numpy as np
from amlcore import Run
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LinearRegression
from sklearn.svm import SVC
X = np.arange(40.0).reshape(20, 2)
y = np.arange(20) % 2
model = {estimator}.fit(X, y)
run = Run.get_context()
run.log_sample(X)
run.log("score", model.score(X, y))
joblib.dump(model, "outputs/model.joblib")
"""

ESTIMATORS = ("LinearRegression()", "RandomForestClassifier(5, random_state=0)", "SVC()")
STARTERS = ("bentoml serve", "aml serve", "Model.deploy")
VERBS = (("runs",), ("show", "latest"), ("models",), ("env", "list"), ("keys", "flowers"), ("doctor",))

DEPLOY = """
import json, sys
from amlcore import Model, Workspace
service = Model.deploy(Workspace.from_config(), "flowers", [Model(Workspace.from_config(), "flowers")])
service.wait_for_deployment()
print(json.dumps(service.run([[3.0, 4.0]])))
sys.stdin.readline()
service.delete()
"""


def can_run() -> str:
    """Why it cannot be tried here."""
    if shutil.which("unshare") is None:
        return "there is no unshare"
    done = subprocess.run([*NAMESPACES, "true"], capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else f"no namespaces can be made here: {done.stderr.strip()}"


def attempt(seed: int, folder: Path) -> Outcome:
    """The whole flow; what is packaged, how it is started and what verbs are called in between is the seed's."""
    command = [*NAMESPACES, sys.executable, "-m", "tests.faults.no_route", str(seed), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
    with suppress(OSError, ValueError):
        found = json.loads((folder / "outcome.json").read_text())
        return Outcome(found["lost"], found["harmed"])
    return Outcome(harmed=[f"the try ended with {done.returncode}: {done.stderr[-2000:]}"])


class Resolver:
    """The only name server of the namespace; it never answers, and remembers each query."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 53))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            question, client = self._socket.recvfrom(4096)
            self.asked.append(_name_in(question[12:]))
            # refused, so that nobody waits for it
            self._socket.sendto(question[:2] + b"\x81\x85" + question[4:], client)


def _name_in(question: bytes) -> str:
    """The name that is asked for: labels, each behind its length (RFC 1035, 4.1.2)."""
    labels = []
    while question[0]:
        labels.append(question[1 : 1 + question[0]].decode("latin-1"))
        question = question[1 + question[0] :]
    return ".".join(labels)


class Flow:
    """One try inside the namespaces."""

    def __init__(self, seed: int, folder: Path) -> None:
        self._choice = random.Random(seed)
        self._starter = STARTERS[seed % len(STARTERS)]
        self._folder = folder
        self._project = folder / "project"
        self._outcome = Outcome()
        colours = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1", "COLUMNS": "20"} if seed % 2 else {}
        cold = {"UV_CACHE_DIR": str(folder / "uv")} if seed % 3 == 0 else {}
        self._environment = {
            **os.environ,
            **colours,
            **cold,
            "BENTOML_HOME": str(folder / "bentoml"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }
        # nothing that keeps BentoML quiet may come from outside
        self._environment.pop("BENTOML_DO_NOT_TRACK", None)

    def carry_out(self) -> Outcome:
        resolver = Resolver()
        (self._project / ".amlcore").mkdir(parents=True)
        (self._project / ".amlcore/config.json").write_text('{"workspace_name": "project"}')
        script = SCRIPT.format(estimator=self._choice.choice(ESTIMATORS))
        (self._project / "train.py").write_text(script)
        try:
            self._package()
            self._ask()
        except subprocess.CalledProcessError as error:
            self._outcome.harmed.append(f"{error.cmd[0]} {error.cmd[1]}: {error.stderr[-1000:]}")
        self._outcome.harmed += [f"the host {name!r} was looked up" for name in sorted(set(resolver.asked))]
        return self._outcome

    def _package(self) -> None:
        self._aml("run", "train.py", "environment=current", "model.name=flowers", "deployment=bento", ONE)
        bentos = list((self._folder / "bentoml/bentos/flowers").glob("*/bento.yaml"))
        if len(bentos) != 1:
            self._outcome.lost.append(f"one service was packaged, and there are {len(bentos)}")
        for verb in self._choice.sample(VERBS, 2):
            self._aml(*verb, check=False)

    def _ask(self) -> None:
        starter = self._starter
        if starter == "Model.deploy":
            (self._folder / "deploy.py").write_text(DEPLOY)
            answer = self._run(sys.executable, str(self._folder / "deploy.py"), input="\n")
        else:
            answer = self._served([*starter.split(), "flowers:latest"])
        expected = {"predictions": self._expected(), "model": "flowers", "version": 1}
        if json.loads(answer or "null") != expected:
            self._outcome.harmed.append(f"{starter} answered {answer}, not {expected}")

    def _served(self, command: list[str]) -> str:
        """What a service answers that `command` starts, if it listens on loopback and nowhere else."""
        with (self._folder / "serve.log").open("w") as log:
            server = subprocess.Popen(command, cwd=self._project, env=self._environment, stdout=log, stderr=log)
            try:
                _wait_until_ready(server)
                with suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.2", 3000)):
                    self._outcome.harmed.append(f"{' '.join(command[:2])} listens on more than 127.0.0.1")
                page = _get("http://127.0.0.1:3000/", None).decode()
                if "http://" in page or "https://" in page:
                    self._outcome.harmed.append("the page of the service names another host")
                return _get("http://127.0.0.1:3000/predict", b'{"data": [[3.0, 4.0]]}').decode()
            except (OSError, TimeoutError) as error:
                self._outcome.harmed.append(f"{command}: {error}: {(self._folder / 'serve.log').read_text()[-1000:]}")
                return ""
            finally:
                server.terminate()
                server.wait()

    def _expected(self) -> Any:
        import joblib

        return joblib.load(self._project / "models/flowers/1/files/model.joblib").predict([[3.0, 4.0]]).tolist()

    def _aml(self, *arguments: str, check: bool = True) -> str:
        return self._run("aml", *arguments, check=check)

    def _run(self, *command: str, input: str = "", check: bool = True) -> str:  # noqa: A002  as subprocess has it
        done = subprocess.run(
            command,
            cwd=self._project,
            env=self._environment,
            input=input,
            capture_output=True,
            text=True,
            check=check,
        )
        return done.stdout


def _wait_until_ready(server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until and server.poll() is None:
        with suppress(OSError):
            _get("http://127.0.0.1:3000/readyz", None)
            return
        time.sleep(0.1)
    raise TimeoutError("it was never ready")


def _get(url: str, body: bytes | None) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, body, timeout=60) as response:
        return bytes(response.read())


def _enter(folder: Path) -> None:
    """A loopback device, a name server on it, and a name of this machine that no file knows."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as device:
        fcntl.ioctl(device, 0x8914, struct.pack("16sh", b"lo", 0x1 | 0x40))  # SIOCSIFFLAGS: IFF_UP | IFF_RUNNING
    files = {"/etc/resolv.conf": "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n", "/etc/hosts": ""}
    for number, (target, text) in enumerate(files.items()):
        source = folder / f"etc-{number}"
        source.write_text(text)
        source.chmod(0o644)
        subprocess.run(["mount", "--bind", str(source), os.path.realpath(target)], check=True)


if __name__ == "__main__":
    _enter(Path(sys.argv[2]))
    outcome = Flow(int(sys.argv[1]), Path(sys.argv[2])).carry_out()
    (Path(sys.argv[2]) / "outcome.json").write_text(json.dumps({"lost": outcome.lost, "harmed": outcome.harmed}))
