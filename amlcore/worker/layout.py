"""Paths, formats and atomic writes of a run's folder, shared by the worker, the script and the driver.

Python 3.6 and the standard library alone: it is imported by the interpreter of any environment.
"""

import binascii
import datetime
import json
import os
import socket
import tempfile

TYPE_CHECKING = False  # importing typing takes longer than all the rest of this module
if TYPE_CHECKING:
    import typing  # noqa: F401

RUN_VARIABLE = "AMLCORE_RUN"
"""The environment variable that tells a script the folder of its run."""

ATTEMPT_VARIABLE = "AMLCORE_ATTEMPT"
"""The environment variable that tells a script the number of its attempt, from 1."""

OWNER_VARIABLE = "AMLCORE_OWNER"
"""The environment variable that tells a worker the job it works in, where several workers share a queue."""

INPUT_PREFIX = "AMLCORE_INPUT_"
"""The environment variable of an input is this and its name, see `input_variable`."""

METRIC_KINDS = ("scalar", "list", "row", "table", "image", "confusion_matrix", "tag", "property")


class RunLayout(object):
    """All names inside a run's folder; each file has one writer, named behind it."""

    def __init__(self, folder):
        # type: (str | os.PathLike[str]) -> None
        self.folder = os.path.abspath(str(folder))
        self.run = self._path("run.json")  # the driver, once
        self.request = self._path("request.json")  # the driver, once
        self.queued = self._path("queued.json")  # whoever lays the request: where, just before
        self.config = self._path("config.yaml")  # the driver, once
        self.overrides = self._path("overrides.yaml")  # the driver, once
        self.lock = self._path("lock.txt")  # the driver, once
        self.environment = self._path("environment.json")  # the driver, once: what was built, and what there is to note
        self.models = self._path("models.jsonl")  # whoever registers a model of this run
        self.driver_log = self._path("driver.log")  # a background driver's own words
        self.state = self._path("state.json")  # the driver; of a child run and a local run the script
        self.driver = self._path("driver.json")  # whoever writes the state; its age is the driver's heartbeat
        self.listing = self._path("outputs.json")  # the driver, when it finalizes
        self.cancel = self._path("cancel.json")  # whoever cancels; created exclusively
        self.sweep = self._path("sweep.json")  # the driver of a sweep, once: what is searched
        self.sources = self._path("sources.json")  # the driver of a sweep: the snapshots of its trials
        self.study = self._path("study.jsonl")  # the driver of a sweep: Optuna's journal of its trials
        self.sample = self._path("sample.json")  # the script, by run.log_sample
        self.metrics = self._path("metrics")  # one file a writing process
        self.images = self._path("images")  # the script, by run.log_image
        self.logs = self._path("logs")
        self.stdout = os.path.join(self.logs, "stdout.txt")
        self.stderr = os.path.join(self.logs, "stderr.txt")
        self.build_log = os.path.join(self.logs, "environment.txt")
        self.outputs = self._path("outputs")
        self.checkpoints = self._path("checkpoints")  # the script, by run.checkpoint_dir; all attempts share it
        self.attempts = self._path("attempts")

    def attempt(self, number):
        # type: (int) -> AttemptLayout
        return AttemptLayout(os.path.join(self.attempts, str(number)))

    def _path(self, name):
        # type: (str) -> str
        return os.path.join(self.folder, name)


class AttemptLayout(object):
    """One attempt at a run; the worker is the only writer of its files."""

    def __init__(self, folder):
        # type: (str) -> None
        self.folder = folder
        self.claim = os.path.join(folder, "claim.json")  # identity of the script's process, and when it began
        self.result = os.path.join(folder, "result.json")
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
        self.claimed = os.path.join(self.folder, "claimed")  # in Slurm a folder for each job
        self.jobs = os.path.join(self.folder, "jobs")  # a file for each job that was asked for, by its id
        self.ended = os.path.join(self.folder, "ended")  # a file for each job whose worker takes no more
        self.closed = os.path.join(self.folder, "closed")  # no request comes any more
        self.log = os.path.join(self.folder, "worker.log")


def write_json(path, value):
    # type: (str, object) -> None
    """Write `value` whole or not at all: a temporary file in the same folder, then a rename."""
    folder = os.path.dirname(path)
    handle, temporary = tempfile.mkstemp(prefix=".", suffix=".tmp", dir=folder)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            json.dump(value, stream, indent=1)
            stream.write("\n")
        os.chmod(temporary, 0o644)
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
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        written = os.write(handle, data)
        while written < len(data):  # a full disk takes a part: the next write says so
            written += os.write(handle, data[written:])
    finally:
        os.close(handle)


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
    os.makedirs(outputs, exist_ok=True)
    while True:
        name = new_run_id()
        folder = os.path.join(outputs, name)
        try:
            os.mkdir(folder)
        except FileExistsError:
            continue
        return name, folder


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
    return {"host": socket.gethostname(), "boot": _boot_id(), "pid": pid, "started": _start_ticks(pid)}


def is_alive(process):
    # type: (dict[str, typing.Any]) -> bool | None
    """Whether the process of an `identity` still runs; None where that cannot be known from this host."""
    if process["host"] != socket.gethostname():
        return None
    if process["boot"] != _boot_id():
        return False
    started = _start_ticks(process["pid"])
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
