"""Power cut: just after amlcore has reported that something is done, or in the middle of a run or a sweep.

The workspace lies on an ext4 of its own, in a file. Its kernel is told to stop at once and to write nothing more, as
xfstests does it (EXT4_IOC_SHUTDOWN without a flush of the journal), so that only what was fsynced is there once the
filesystem is mounted again. Nothing is committed by time meanwhile, and a rename brings no data with it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import random
import shutil
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tests.faults import Outcome
from tests.faults.housekeeping import state
from tests.faults.support import BASE, TIMEOUT_S, TRAIN, Workplace
from tests.support.laid_runs import lay, lay_sweep
from tests.support.model_records import add_version

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, see ext4(5)
WITHOUT_THE_JOURNAL = 2
OPTIONS = "loop,noauto_da_alloc,commit=300"
MODEL = ("model.name=kept", "model.path=outputs/model.joblib")
TRIALS = 6
MANY_TRIALS = 30


def can_run() -> str:
    if os.geteuid() != 0:
        return "only root can mount a filesystem"
    if not Path("/dev/loop-control").exists() or shutil.which("mkfs.ext4") is None:
        return "there are no loop devices, or no mkfs.ext4"
    return ""


def attempt(seed: int, folder: Path) -> Outcome:
    disk = Disk(folder)
    case = CASES[seed % len(CASES)]
    with disk.mounted():
        here = Workplace.create(disk.folder / "project", BENTOML_HOME=str(disk.folder / "store"))
        disk.flush()  # the workspace itself has been there for long
        outcome = Outcome()
        case(here, disk, random.Random(seed), outcome)
    return outcome


class Disk:
    """A filesystem in a file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "disk"
        self._image = folder / "image"

    @contextmanager
    def mounted(self) -> Iterator[None]:
        self.folder.mkdir()
        with self._image.open("wb") as image:
            image.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-E", "nodiscard", str(self._image)], check=True)
        # Shared: other namespaces, as other kinds of faults make, would keep the filesystem mounted when it is cut.
        above = str(self.folder.parent)
        subprocess.run(["mount", "--bind", above, above], check=True)
        subprocess.run(["mount", "--make-shared", above], check=True)
        try:
            self._mount()
            yield
        finally:
            self._unmount()
            subprocess.run(["umount", "--lazy", above], check=True)

    def flush(self) -> None:
        subprocess.run(["sync", "--file-system", str(self.folder)], check=True)

    def flush_names(self) -> None:
        """Commit what the folders hold, as some other program's fsync may; the content of new files waits."""
        with (self.folder / "other").open("w") as other:
            os.fsync(other.fileno())

    def cut(self) -> None:
        """Stop the filesystem as it is on the disk, end all that used it, and mount it again."""
        handle = os.open(self.folder, os.O_RDONLY)
        fcntl.ioctl(handle, SHUTDOWN, struct.pack("I", WITHOUT_THE_JOURNAL))
        os.close(handle)
        self._unmount()
        self._mount()

    def _mount(self) -> None:
        subprocess.run(["mount", "-o", OPTIONS, str(self._image), str(self.folder)], check=True)

    def _unmount(self) -> None:
        until = time.monotonic() + 20
        while True:
            for pid in self._users():
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if subprocess.run(["umount", str(self.folder)], capture_output=True, check=False).returncode == 0:
                return
            if time.monotonic() > until:
                raise RuntimeError(f"{self.folder} is still in use, by {list(self._users())}")
            time.sleep(0.05)

    def _users(self) -> Iterator[int]:
        """The processes that have been called with a path on this disk, work in it, or hold a file of it open."""
        inside = str(self.folder)
        for process in Path("/proc").iterdir():
            if process.name.isdigit() and int(process.name) != os.getpid():
                with suppress(OSError):
                    links = [process / "cwd", *(process / "fd").iterdir()]
                    found = [os.readlink(link) for link in links if link.is_symlink()]
                    if any(path.startswith(inside) for path in found):
                        yield int(process.name)


def _run_until(here: Workplace, words: tuple[str, ...], *arguments: str, then: Callable[[], None]) -> list[str]:
    """Call `aml` until it says a line that begins with one of `words`, do `then`, and return what it had said."""
    said: list[str] = []
    with subprocess.Popen(**here.command(*arguments), stderr=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        assert process.stderr is not None
        for line in process.stderr:
            said.append(line.decode().rstrip().removeprefix("aml: "))
            if said[-1].startswith(words):
                break
        else:
            raise RuntimeError(f"aml never said {words}: {said}")
        then()
        process.kill()
    return said


def _after_completed(here: Workplace, disk: Disk, _: random.Random, outcome: Outcome) -> None:
    said = _run_until(here, ("Completed",), "run", *BASE, then=disk.cut)
    _check_run(here, _id(said), outcome)
    _check_goes_on(here, outcome)


def _after_registered(here: Workplace, disk: Disk, _: random.Random, outcome: Outcome) -> None:
    said = _run_until(here, ("registered",), "run", *BASE, *MODEL, then=disk.cut)
    _check_run(here, _id(said), outcome, model="kept:1")
    _check_model(here, outcome)
    _check_goes_on(here, outcome)


def _after_packaged(here: Workplace, disk: Disk, _: random.Random, outcome: Outcome) -> None:
    said = _run_until(
        here, ("packaged",), "run", *BASE, *MODEL, "deployment=bento", "deployment.auth=key", then=disk.cut
    )
    _check_run(here, _id(said), outcome, model="kept:1")
    _check_model(here, outcome)
    tag = said[-1].split()[1].rstrip(";")
    bento = disk.folder / "store" / "bentos" / tag.replace(":", "/")
    empty = [path for path in bento.rglob("*") if path.is_file() and not path.stat().st_size and path.suffix != ".py"]
    known = disk.folder / "store" / "bentos" / tag.partition(":")[0] / "latest"
    if not (bento / "bento.yaml").exists() or empty or not known.exists() or not known.read_text():
        outcome.lost.append(f"packaged {tag}: {empty or 'its folder'}")
    for name in ("model.joblib",):
        kept, served = (top / "files" / name for top in (here.root / "models/kept/1", bento / "src/model"))
        if not served.exists() or served.read_bytes() != kept.read_bytes():
            outcome.lost.append(f"packaged {tag}: {served}")
    done = here.aml("keys", tag.partition(":")[0])
    if done.returncode != 0:
        outcome.lost.append(f"packaged {tag}: {done.stderr}")


def _after_sweep(here: Workplace, disk: Disk, chance: random.Random, outcome: Outcome) -> None:
    space = ",".join(str(number) for number in chance.sample(range(100), TRIALS))
    words = (
        "run",
        "-m",
        *BASE,
        *MODEL,
        "compute.slots=2",
        "sweep.primary_metric=score",
        f"+script.arguments.x={space}",
    )
    said = _run_until(here, ("registered",), *words, then=disk.cut)
    sweep = _id(said)
    for number in range(TRIALS):
        _check_run(here, f"{sweep}_{number}", outcome, sweep=True)
    _check_model(here, outcome)
    found = here.json("show", sweep)
    if found["state"] != "Completed":
        outcome.lost.append(f"sweep {sweep} is {found['state']}: {found['reason']}")
    _check_goes_on(here, outcome)


def _amid_a_sweep(here: Workplace, disk: Disk, chance: random.Random, outcome: Outcome) -> None:
    """The sweep can be resumed, whichever part of it had reached the disk."""
    words = ["run", "-m", *BASE, "compute.slots=2", "sweep.primary_metric=score", "sweep=random", "sweep.seed=1"]
    words += [f"sweep.max_total_runs={MANY_TRIALS}", "+script.arguments.x=interval(0,1)"]

    def some_time_later() -> None:
        time.sleep(chance.uniform(0, 2))
        if chance.random() < 0.7:  # what the kernel writes by itself after some seconds
            disk.flush()
            time.sleep(chance.uniform(0, 0.5))
        disk.cut()

    said = _run_until(here, ("sweep",), *words, then=some_time_later)
    _check_goes_on(here, outcome)
    if not (here.root / "outputs" / "trial-of-faults" / _id(said) / "run.json").exists():
        outcome.lost.append(f"sweep {_id(said)}, which was announced")
        return
    done = here.aml("resume", _id(said))
    if done.returncode != 0:
        outcome.harmed.append(f"aml resume: exit status {done.returncode}: {done.stderr.strip()[-1000:]}")
        return
    runs = [run for run in here.json("runs", "--children", "--all") if run["parent"] == _id(said)]
    good = [run["id"] for run in runs if run["state"] == "Completed" and "score" in run["metrics"]]
    if len(good) != MANY_TRIALS or len(runs) != MANY_TRIALS:
        outcome.harmed.append(f"the sweep ended with {len(good)} of {len(runs)} trials Completed: {sorted(good)}")


def _amid_a_run(here: Workplace, disk: Disk, chance: random.Random, outcome: Outcome) -> None:
    """A run that was announced is lost, not damaged, whichever of its files had reached the disk."""

    def some_time_later() -> None:
        time.sleep(chance.uniform(0, 2))
        disk.flush_names()
        disk.cut()

    said = _run_until(here, ("run",), "run", *BASE, then=some_time_later)
    shown = here.json("show", _id(said))
    if shown["state"] not in ("Completed", "Failed"):
        outcome.lost.append(f"run {_id(said)} is {shown['state']}: {shown['reason']}")
    again = here.json("show", _id(said))
    if (again["state"], again["reason"]) != (shown["state"], shown["reason"]):
        outcome.harmed.append(f"run {_id(said)} was {shown['state']} and is {again['state']}: {again['reason']}")
    _check_goes_on(here, outcome)


def _after_a_tag(here: Workplace, disk: Disk, _: random.Random, outcome: Outcome) -> None:
    """Of a run that was started by hand, and a tag that was set from outside once it had ended."""
    env = {**os.environ, **here.env}
    subprocess.run([sys.executable, "train.py"], cwd=here.root, env=env, check=True, capture_output=True)
    (run,) = (here.root / "outputs" / "train").iterdir()
    again = f"from amlcore import Run; Run({str(run)!r}).tag('checked', 'yes')"
    subprocess.run([sys.executable, "-c", again], cwd=here.root, env=env, check=True, capture_output=True)
    disk.cut()
    found = here.json("show", run.name)
    if (found["state"], found["metrics"].get("score")) != ("Completed", 1.0):
        outcome.lost.append(f"the run of a script started by hand: {found['state']} {found['metrics']}")
    if found["tags"] != {"colour": "blue", "checked": "yes"}:
        outcome.lost.append(f"tags: {found['tags']}")
    _check_goes_on(here, outcome)


def _after_an_alias(here: Workplace, disk: Disk, _: random.Random, outcome: Outcome) -> None:
    """Of an alias that was moved, a version that was removed, and one that was promoted."""
    for accuracy in (0.5, 0.6, 0.7):
        add_version(here.root, metrics={"accuracy": accuracy})
    disk.cut()  # what registration said is on the disk as well
    _run_until(here, ("wine@champion is wine:1",), "alias", "wine@champion", "1", then=disk.cut)
    _run_until(here, ("wine:3 is removed",), "models", "rm", "wine:3", then=disk.cut)
    better = ("--to", "champion", "--if", "accuracy > champion.accuracy")
    _run_until(here, ("wine@champion is wine:2",), "promote", "wine:2", *better, then=disk.cut)
    events = [(event["event"], event["version"]) for event in here.json("models", "log", "wine")]
    if events[-3:] != [("alias set", 1), ("version removed", 3), ("alias set", 2)]:
        outcome.lost.append(f"moves of an alias: {events}")
    if [(row["version"], row["aliases"]) for row in here.json("models")] != [(2, ["champion"]), (1, [])]:
        outcome.lost.append(f"aliases: {here.json('models')}")


def _after_housekeeping(here: Workplace, disk: Disk, chance: random.Random, outcome: Outcome) -> None:
    """What was marked, removed, restored or pruned is so for good, and everything else is whole."""
    sweep = lay_sweep(here.root, 1, trials=3)
    run = lay(here.root, 2, files={"outputs/model.txt": "model"})
    disk.flush()
    before = state(here.root)
    steps = {
        ("run",): ("tag", run.name, "good=yes"),
        ("removed:",): ("rm", sweep.name),
        ("restored:",): ("rm", "--undo"),
        ("deleted:",): ("prune", run.name, "--what", "outputs"),
    }
    for words, verb in steps.items():
        _run_until(here, words, *verb, then=disk.cut if chance.random() < 0.8 else disk.flush)
        after = state(here.root)
        done = {
            "tag": lambda after: '"good": "yes"' in after[run.name].get("marks.json", ""),
            "rm": lambda after: (sweep.name in after) == ("--undo" in verb),  # noqa: B023 - called at once
            "prune": lambda after: after[run.name]["pruned"] == "outputs",
        }
        if not done[verb[0]](after):
            outcome.lost.append(f"aml {' '.join(verb)}")
    if {name: files for name, files in after.items() if name != run.name} != {
        name: files for name, files in before.items() if name != run.name
    }:
        outcome.lost.append("files of runs that were removed and restored")


CASES = (
    *(_after_registered, _after_completed, _after_packaged, _after_sweep, _after_a_tag),
    *(_amid_a_run, _amid_a_sweep, _amid_a_sweep, _after_an_alias, _after_housekeeping),
)


def _id(said: list[str]) -> str:
    return next(line.split()[1] for line in said if line.startswith(("run ", "sweep ")))


def _check_run(
    here: Workplace, run: str, outcome: Outcome, *, model: str | None = None, sweep: bool = False
) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = here.json("show", run)
    except RuntimeError as error:
        outcome.lost.append(str(error))
        return None
    folder = Path(found["folder"])
    expected = {"state": "Completed", "tags": {"colour": "blue"}}
    expected |= {} if model is None else {"model": model}
    if wrong := {key: found[key] for key in expected if found[key] != expected[key]}:
        outcome.lost.append(f"run {run}: {wrong}")
    series = [record["value"] for record in found["series"] if record["name"] == "loss"]
    if series != [1.0 / (step + 1) for step in range(20)] or "score" not in found["metrics"]:
        outcome.lost.append(f"run {run}: its metrics: {len(series)} values")
    listed = {item["path"]: item["sha256"] for item in found["outputs"]}
    if listed.keys() != {"outputs/model.joblib", "outputs/notes/text.txt"}:
        outcome.lost.append(f"run {run}: its outputs: {sorted(listed)}")
    for path, sha256 in listed.items():
        if not (folder / path).exists() or hashlib.sha256((folder / path).read_bytes()).hexdigest() != sha256:
            outcome.lost.append(f"run {run}: {path}")
    if "trained" not in (folder / "logs" / "stdout.txt").read_text():
        outcome.lost.append(f"run {run}: its log")
    if not sweep:
        done = here.aml("rerun", run)
        if done.returncode != 0:
            outcome.lost.append(f"aml rerun {run}: {done.stderr.strip()[-500:]}")
    return found


def _check_model(here: Workplace, outcome: Outcome) -> None:
    test = (
        "from amlcore import Model, Workspace; model = Model(Workspace.at(), 'kept', 1); model.verify();"
        "assert 'scikit-learn==' in model.lock and model.sample"
    )
    command = {**here.command(), "args": [sys.executable, "-c", test]}
    done = subprocess.run(**command, capture_output=True, text=True, check=False, timeout=TIMEOUT_S)
    if done.returncode != 0:
        outcome.lost.append(f"kept:1: {done.stderr.strip().splitlines()[-1]}")


def _check_goes_on(here: Workplace, outcome: Outcome) -> None:
    """A new run of the same source and environment works after the cut, and the lists do."""
    (here.root / "train.py").write_text(TRAIN)
    for words in (("run", *BASE), ("runs",), ("models",)):
        done = here.aml(*words)
        if done.returncode != 0 or "Traceback" in done.stderr:
            outcome.harmed.append(f"aml {words[0]}: exit status {done.returncode}: {done.stderr.strip()[-1000:]}")
