"""Paths, formats and atomic writes of a run's folder, shared by the worker, the script and the driver.

Python 3.6 and the standard library alone: it is imported by the interpreter of any environment.
"""

import binascii
import datetime
import json
import os
import socket
import stat
import tempfile

from amlcore.worker.room import persistently

TYPE_CHECKING = False  # importing typing takes longer than all the rest of this module
if TYPE_CHECKING:
    import typing  # noqa: F401

RUN_VARIABLE = "AMLCORE_RUN"
"""The environment variable that tells a script the folder of its run."""

ATTEMPT_VARIABLE = "AMLCORE_ATTEMPT"
"""The environment variable that tells a script the number of its attempt, from 1."""

OWNER_VARIABLE = "AMLCORE_OWNER"
"""The environment variable that tells a worker under which name it claims: in Slurm that of its job."""

INPUT_PREFIX = "AMLCORE_INPUT_"
"""The environment variable of an input is this and its name, see `input_variable`."""

EXPERIMENT_LENGTH = 128
_EXPERIMENT_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")

METRIC_KINDS = ("scalar", "list", "row", "table", "image", "confusion_matrix", "tag", "property")


class _Inside(object):
    """A name inside of a folder; the path is put together when it is asked for, since a list asks for few of many."""

    def __init__(self, *names):
        # type: (str) -> None
        self._names = names

    def __get__(self, layout, owner=None):
        # type: (typing.Any, object) -> str
        return os.path.join(layout.folder, *self._names)


class RunLayout(object):
    """All names inside a run's folder; each file has one writer, named behind it."""

    run = _Inside("run.json")  # the driver, once
    request = _Inside("request.json")  # the driver, once
    queued = _Inside("queued.json")  # whoever lays the request: where, just before
    config = _Inside("config.yaml")  # the driver, once
    overrides = _Inside("overrides.yaml")  # the driver, once
    lock = _Inside("lock.txt")  # the driver, once
    environment = _Inside("environment.json")  # the driver, once: what was built, and what there is to note
    models = _Inside("models.jsonl")  # whoever registers a model of this run
    driver_log = _Inside("driver.log")  # a background driver's own words
    state = _Inside("state.json")  # the driver; of a child run and a local run the script
    driver = _Inside("driver.json")  # whoever writes the state; its age is the driver's heartbeat
    listing = _Inside("outputs.json")  # the driver, when it finalizes
    cancel = _Inside("cancel.json")  # whoever cancels; created exclusively
    sweep = _Inside("sweep.json")  # the driver of a sweep, once: what is searched
    sources = _Inside("sources.json")  # the driver of a sweep: the snapshots of its trials
    study = _Inside("study.jsonl")  # the driver of a sweep: Optuna's journal of its trials
    sample = _Inside("sample.json")  # the script, by run.log_sample
    metrics = _Inside("metrics")  # one file a writing process
    images = _Inside("images")  # the script, by run.log_image
    logs = _Inside("logs")
    stdout = _Inside("logs", "stdout.txt")
    stderr = _Inside("logs", "stderr.txt")
    build_log = _Inside("logs", "environment.txt")
    outputs = _Inside("outputs")
    checkpoints = _Inside("checkpoints")  # the script, by run.checkpoint_dir; all attempts share it
    attempts = _Inside("attempts")

    def __init__(self, folder):
        # type: (str | os.PathLike[str]) -> None
        self.folder = os.path.abspath(str(folder))

    def attempt(self, number):
        # type: (int) -> AttemptLayout
        return AttemptLayout(os.path.join(self.attempts, str(number)))


class AttemptLayout(object):
    """One attempt at a run; the worker is the only writer of its files."""

    def __init__(self, folder):
        # type: (str) -> None
        self.folder = folder
        self.claim = os.path.join(folder, "claim.json")  # identity of the script's process, and when it began
        self.result = os.path.join(folder, "result.json")
        self.error = os.path.join(folder, "error.json")  # the exception that ended the script; the script's process
        self.work = os.path.join(folder, "work")  # the private copy of the snapshot
        self.outputs = os.path.join(self.work, "outputs")
        self.logs = os.path.join(self.work, "logs")


class QueueLayout(object):
    """A folder of requests for workers of one kind."""

    def __init__(self, folder):
        # type: (str | os.PathLike[str]) -> None
        self.folder = os.path.abspath(str(folder))
        self.worker = os.path.join(self.folder, "worker.json")  # what to preload, and whose queue it is
        self.new = os.path.join(self.folder, "new")
        self.claimed = os.path.join(self.folder, "claimed")  # a folder for each worker, in Slurm for each job
        self.jobs = os.path.join(self.folder, "jobs")  # a file for each job that was asked for, by its id
        self.ended = os.path.join(self.folder, "ended")  # a file for each worker, or job, that takes no more
        self.closed = os.path.join(self.folder, "closed")  # no request comes any more
        self.log = os.path.join(self.folder, "worker.log")


def write_json(path, value, sync=False, mode=0o644):
    # type: (str, object, bool, int) -> None
    """Write `value` whole or not at all: a temporary file in the same folder, then a rename.

    With `sync` that holds after a power cut too: what stands at `path` then is whole, be it the old or the new.
    """
    write_text(path, json.dumps(value, indent=1) + "\n", sync, mode)


def write_text(path, text, sync=False, mode=0o644):
    # type: (str, str, bool, int) -> None
    """Write `text` in the same way."""
    persistently(lambda: _write_text(path, text, sync, mode), path)


def _write_text(path, text, sync, mode):
    # type: (str, str, bool, int) -> None
    folder = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            if sync:
                stream.flush()
                os.fsync(stream.fileno())
        os.chmod(temporary, mode)
        os.rename(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def read_json(path):
    # type: (str) -> typing.Any
    """The value at `path`, or None where there is no such file."""
    try:
        with open(path, encoding="utf-8") as stream:
            return json.load(stream)
    except FileNotFoundError:
        return None


def create_json(path, value):
    # type: (str, object) -> bool
    """Write `value` only if `path` does not exist yet.

    Returns whether this call created it.
    """
    return persistently(lambda: _create_json(path, value), path)  # type: ignore[no-any-return]


def _create_json(path, value):
    # type: (str, object) -> bool
    folder = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream, indent=1)
        os.chmod(temporary, 0o644)
        os.link(temporary, path)
        return True
    except FileExistsError:
        return False
    finally:
        os.unlink(temporary)


def append_line(path, value):
    # type: (str, object) -> None
    """Append `value` as one line of JSON by one write, so that no two lines are ever mixed."""
    data = (json.dumps(value) + "\n").encode("utf-8")
    handle = persistently(lambda: os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), path)
    try:
        while data:  # a full disk takes a part: the next write says so
            data = data[persistently(lambda: os.write(handle, data), path) :]  # noqa: B023 - called at once
    finally:
        os.close(handle)


def make_folder(path, keep_private=False):
    # type: (str | os.PathLike[str], bool) -> None
    """Make a folder that several users share, with those above it that lack; one that is there stays as it is.

    Where the group may write into the folder that it lies in, the group may use it as that one, whatever the umask of
    who makes it says; with `keep_private` only if that umask lets the group read at all.
    """
    path = str(path)
    try:
        os.mkdir(path)
    except FileNotFoundError:
        make_folder(os.path.dirname(os.path.abspath(path)))
        make_folder(path, keep_private)
        return
    except FileExistsError:
        if not os.path.isdir(path):
            raise
        return
    open_to_group(path, keep_private)


def open_to_group(path, keep_private=False):
    # type: (str, bool) -> None
    """Let the group use a folder, or a file that all write, as it may use the folder that it lies in."""
    around = os.stat(os.path.dirname(os.path.abspath(path))).st_mode
    mode = stat.S_IMODE(os.stat(path).st_mode)
    if around & stat.S_IWGRP and (mode & stat.S_IRGRP or not keep_private):
        is_folder = os.path.isdir(path)
        os.chmod(path, mode | around & ((stat.S_ISGID | stat.S_IRWXG) if is_folder else (stat.S_IRGRP | stat.S_IWGRP)))


def new_run_id():
    # type: () -> str
    """A name for a run that sorts by time: UTC to the second and six random hex digits."""
    moment = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%d-%H%M%S")
    return "{}-{}".format(moment, binascii.hexlify(os.urandom(3)).decode("ascii"))


def create_run_folder(root, experiment):
    # type: (str | os.PathLike[str], str) -> tuple[str, str]
    """Make the folder of a new run, which no other process can get as well.

    Returns the run's id and its folder.
    """
    outputs = os.path.join(os.path.abspath(str(root)), "outputs", experiment)
    make_folder(outputs)
    while True:
        name = new_run_id()
        folder = os.path.join(outputs, name)
        try:
            os.mkdir(folder)
        except FileExistsError:
            continue
        open_to_group(folder, keep_private=True)
        return name, folder


def experiment_of(script):
    # type: (str) -> str
    """The experiment that runs of a script belong to unless another is named: its name, as far as a folder's may go."""
    kept = [letter if letter in _EXPERIMENT_LETTERS else "-" for letter in script[:EXPERIMENT_LENGTH]]
    return "-".join(part for part in "".join(kept).split("-") if part).strip("-_") or "script"


def is_experiment(name):
    # type: (object) -> bool
    """Whether `name` can be an experiment's, whose runs lie in a folder of that name."""
    if not isinstance(name, str) or not 0 < len(name) <= EXPERIMENT_LENGTH:
        return False
    return name[0] not in "_-." and _EXPERIMENT_LETTERS.issuperset(name.replace(".", ""))


def created_now():
    # type: () -> str
    """The present time as run.json has it: ISO 8601 in UTC, with microseconds."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="microseconds")


def input_variable(name):
    # type: (str) -> str
    """The environment variable that holds the path of the input `name`."""
    return INPUT_PREFIX + "".join(letter if letter.isalnum() else "_" for letter in name.upper())


def identity(pid=None):
    # type: (int | None) -> dict[str, typing.Any]
    """What names a process for as long as its machine is up: host, boot, pid and start time."""
    pid = os.getpid() if pid is None else pid
    me = os.getuid()
    return {"host": socket.gethostname(), "boot": _boot_id(), "pid": pid, "started": _start_ticks(pid), "uid": me}


def is_alive(process):
    # type: (dict[str, typing.Any]) -> bool | None
    """Whether the process of an `identity` still runs; None where that cannot be known from this host."""
    if process["host"] != socket.gethostname():
        return None
    if process["boot"] != _boot_id():
        return False
    started = _start_ticks(process["pid"])
    if started is None and process.get("uid", os.getuid()) != os.getuid() and not os.path.exists("/proc/1"):
        return None  # this machine shows nobody the processes of others
    return started is not None and started == process["started"]


def _boot_id():
    # type: () -> str
    try:
        with open("/proc/sys/kernel/random/boot_id") as stream:
            return stream.read().strip()
    except OSError:
        return ""


def _start_ticks(pid):
    # type: (int) -> int | None
    """Clock ticks from boot to the start of `pid`, field 22 of proc(5)'s stat; None where it is gone or a zombie."""
    try:
        with open("/proc/{}/stat".format(pid)) as stream:
            fields = stream.read().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])
