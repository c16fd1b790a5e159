"""One file of a record is emptied, halved, scrambled, holds JSON of another type or lacks a key: all verbs are called.

Whatever the file, no verb ends in a traceback, all other runs and models are listed as before, what is damaged is
shown as damaged with its file's name, and `aml doctor` names it too.
"""

from __future__ import annotations

import functools
import importlib
import io
import json
import os
import pkgutil
import random
import shutil
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from tests.faults import Outcome
from tests.faults.support import BASE, Workplace

SWEEP = ("run", "-m", *BASE, "sweep.primary_metric=score", "+script.arguments.x=1,2")
CHILDREN = """
from amlcore import Run
with Run.get_context() as run:
    run.log("score", 3)
    with run.child_run("part") as child:
        child.log("score", 4)
"""
UNSEEN = ("driver.log", "stdout.txt", "stderr.txt", "environment.txt", "overrides.yaml", "sources.json", "worker.log")
"""Text for people, or what is written again when it is needed: nothing is lost with it, and nothing to be shown."""

TEXT_KEPT = ("outputs", "logs", "images")


@functools.cache
def _pattern() -> Path:
    """A workspace with runs of all kinds, a model, a packaged service and a sweep; made once a process."""
    folder = Path(tempfile.mkdtemp(prefix="aml-pattern-"))
    here = Workplace.create(folder / "project", BENTOML_HOME=str(folder / "store"))
    (here.root / "by_hand.py").write_text(CHILDREN)
    model = ("model.name=kept", "deployment=bento", "deployment.auth=key")
    for words in (("run", *BASE, *model), ("run", *BASE), SWEEP):
        done = here.aml(*words)
        if done.returncode != 0:
            raise RuntimeError(f"aml {' '.join(words)}: {done.stderr}")
    env = {**os.environ, **here.env}
    subprocess.run([sys.executable, "by_hand.py"], cwd=here.root, env=env, check=True, capture_output=True)
    return folder


_PRELOADED = ("app", "cli", "config", "execution", "model", "runs", "serving", "sweep", "terminal")
"""The folders of which the forks need nearly every module."""


def attempt(seed: int, folder: Path) -> Outcome:
    chance, outcome = random.Random(seed), Outcome()
    for name in _PRELOADED:  # once, rather than in each fork
        folder_of_code = importlib.import_module(f"amlcore.{name}").__path__
        for module in pkgutil.iter_modules(folder_of_code, f"amlcore.{name}."):
            if not module.name.endswith(".mlflow_registry"):  # it needs MLflow
                importlib.import_module(module.name)
    shutil.copytree(_pattern(), folder / "w", symlinks=True)
    here = Workplace(folder / "w/project", {"BENTOML_HOME": str(folder / "w/store")})
    before = _listed(here)
    victim = chance.choice(_files(here.root))
    how = chance.choice([_emptied, _halved, _scrambled, _of_another_type, _without_a_key])
    written = victim.read_bytes()
    victim.chmod(0o644)
    victim.write_bytes(how(written, chance))
    if victim.read_bytes() == written:
        return outcome
    what = f"{victim.relative_to(here.root)} {how.__name__.strip('_').replace('_', ' ')}"
    _judge(here, victim, before, chance, outcome, what)
    return outcome


def _files(root: Path) -> list[Path]:
    """The files of the record: one of each name of a kind of run is as good as another, so none is left out."""
    folders = [root / "outputs", root / "models", root / ".amlcore"]
    found = [path for folder in folders for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return sorted(path for path in found if not path.name.endswith((".lock", ".guard")) and path.stat().st_size)


def _emptied(_: bytes, chance: random.Random) -> bytes:
    return b""


def _halved(content: bytes, chance: random.Random) -> bytes:
    return content[: len(content) // 2]


def _scrambled(content: bytes, chance: random.Random) -> bytes:
    noise = bytearray(content)
    for _ in range(max(8, len(content) // 20)):
        noise[chance.randrange(len(noise))] = chance.randrange(256)
    return bytes(noise)


def _of_another_type(content: bytes, chance: random.Random) -> bytes:
    """JSON all the same: another document, or the same with one of its values of another type."""
    others: list[Any] = [None, 3, "text", [], {}, [1, "a"], {"other": 1}, True, [[]], {"id": 3}]
    try:
        document = json.loads(content)
    except ValueError:
        return json.dumps(chance.choice(others)).encode()
    if isinstance(document, dict) and document and chance.random() < 0.7:
        key = chance.choice(sorted(document))
        document[key] = chance.choice([other for other in others if type(other) is not type(document[key])])
        return json.dumps(document).encode()
    return json.dumps(chance.choice([other for other in others if type(other) is not type(document)])).encode()


def _without_a_key(content: bytes, chance: random.Random) -> bytes:
    try:
        document = json.loads(content)
    except ValueError:
        return content
    mappings = list(_mappings(document))
    if not mappings:
        return content
    mapping = chance.choice(mappings)
    del mapping[chance.choice(sorted(mapping))]
    return json.dumps(document).encode()


def _mappings(value: Any) -> Iterator[dict[str, Any]]:
    """The mappings in a JSON document that have keys."""
    if isinstance(value, dict) and value:
        yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _mappings(part)


@functools.cache
def _taken_socket() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


def _taken_port() -> str:
    """A port that nothing else can listen to, so that no verb serves anything."""
    return str(_taken_socket().getsockname()[1])


def _called(here: Workplace, *words: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of `aml` in a fork of this process, which has imported it already."""
    from amlcore.cli.main import main

    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read)
        os.chdir(here.root)
        os.environ.update(here.env)
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True) for _ in range(2))
        with redirect_stdout(out), redirect_stderr(err):
            try:
                status = main(list(words))
            except SystemExit as end:
                status = int(end.code or 0)
            except BaseException:
                traceback.print_exc()
                status = 70
        said = [stream.buffer.getvalue().decode(errors="replace") for stream in (out, err)]  # type: ignore[attr-defined]
        with os.fdopen(write, "w") as answer:
            json.dump([status, *said], answer)
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as answer:
        found = answer.read()
    os.waitpid(pid, 0)
    status, out_said, err_said = json.loads(found)
    return status, out_said, err_said


def _listed(here: Workplace) -> dict[str, dict[str, Any]]:
    """All runs and models as they are listed, by their names."""
    found = {}
    for words in (("runs", "--children", "--all", "--json"), ("models", "--json")):
        status, out, err = _called(here, *words)
        if status != 0:
            raise RuntimeError(f"aml {' '.join(words)}: exit status {status}: {err}")
        for item in json.loads(out):
            found[item.get("id") or f"{item['name']}:{item['version']}"] = item
    return found


def _judge(
    here: Workplace,
    victim: Path,
    before: dict[str, dict[str, Any]],
    chance: random.Random,
    outcome: Outcome,
    what: str,
) -> None:
    owner = _owner(here.root, victim)
    try:
        after = _listed(here)
    except (RuntimeError, ValueError) as error:
        outcome.harmed.append(f"{what}: {error}")
        return
    for name, item in before.items():
        if name == owner:
            if name not in after:
                outcome.lost.append(f"{what}: {name} is not listed any more")
        elif _steady(after.get(name)) != _steady(item):
            outcome.harmed.append(f"{what}: {name} is listed as {after.get(name)}")
    others = [name for name in before if name != owner and ":" not in name]
    run = owner if owner in before and ":" not in str(owner) else chance.choice(others)
    other = chance.choice(others)
    sweep = next(name for name in before if f"{name}_1" in before and f"{name}_0" in before)
    said = ""
    for words in (
        ("runs",), ("runs", "--sort", "score"), ("models",), ("show", run), ("show", run, "--json"), ("show", other),
        ("show", "latest"), ("logs", run), ("wait", run), ("cancel", run), ("doctor", "compute=local"),
        ("env", "list"), ("keys", "kept"), ("serve", "kept", "--port", "1", "--host", "256.0.0.1"),
        ("register", run, "--name", "again"), ("ui", sweep, "--port", _taken_port()), ("deploy", "nothing"),
        ("rerun", "--detach", run) if chance.random() < 0.15 else ("runs",),
        ("resume", sweep) if "sweep" in victim.name or "study" in victim.name else ("runs",),
    ):  # fmt: skip
        status, out, err = _called(here, *words)
        if "Traceback (most recent call last)" in err + out:
            outcome.harmed.append(f"{what}: aml {' '.join(words)}: {err.strip()[-700:]}")
        if words[0] == "show" and other in words and status != 0:
            outcome.harmed.append(f"{what}: aml {' '.join(words)}: {err.strip()[-300:]}")
        if words[0] in ("doctor", "show", "runs", "models"):
            said += out + err
    if _must_be_named(here.root, victim) and victim.name not in said:
        outcome.harmed.append(f"{what}: no verb names it")


def _must_be_named(root: Path, victim: Path) -> bool:
    relative = victim.relative_to(root)
    if relative.parts[0] == ".amlcore":
        return relative.parts[1] == "keys"
    if relative.parts[0] == "outputs" and (victim.name in UNSEEN or set(relative.parts[3:-1]) & set(TEXT_KEPT)):
        return False
    try:  # a scrambled file may be what it was in all that can be checked
        json.loads(victim.read_bytes())
        return False
    except ValueError:
        return victim.suffix not in (".txt", ".yaml", ".py")


def _owner(root: Path, victim: Path) -> str | None:
    """The run or model that a file belongs to."""
    parts = victim.relative_to(root).parts
    if parts[0] == "outputs":
        return parts[2]
    return f"{parts[1]}:{parts[2]}" if parts[0] == "models" else None


def _steady(item: dict[str, Any] | None) -> dict[str, Any] | None:
    return None if item is None else {key: value for key, value in item.items() if key != "duration_s"}
