"""The paths inside the folders of runs, snapshots and queues, and the variables that a script reads.

Python 3.6 and the standard library only: the interpreter of any environment imports it.
"""

import os

TYPE_CHECKING = False  # importing typing takes longer than all the rest of this module
if TYPE_CHECKING:
    import typing  # noqa: F401

RUN_VARIABLE = "AMLCORE_RUN"
"""The environment variable that tells a script the folder of its run."""

ATTEMPT_VARIABLE = "AMLCORE_ATTEMPT"
"""The environment variable that tells a script the number of its attempt, from 1."""

OWNER_VARIABLE = "AMLCORE_OWNER"
"""The environment variable that tells a worker the name to claim requests under; in Slurm that of its job."""

NAME_TAG = "mlflow.runName"
"""The tag by which a script names its run; MLflow's clients set it too."""

INPUT_PREFIX = "AMLCORE_INPUT_"
"""The prefix of the environment variables that hold the paths of inputs; see `input_variable`."""

METRIC_KINDS = ("scalar", "list", "row", "table", "image", "confusion_matrix", "tag", "property", "parameter")


class _Inside(object):
    """A path inside the folder, joined on access: listing many runs needs only a few of them."""

    def __init__(self, *names):
        # type: (str) -> None
        self._names = names

    def __get__(self, layout, owner=None):
        # type: (typing.Any, object) -> str
        return os.path.join(layout.folder, *self._names)


class RunLayout(object):
    """The paths inside a run's folder; each file has one writer, named next to it."""

    run = _Inside("run.json")  # the driver, once
    request = _Inside("request.json")  # the driver, once
    queued = _Inside("queued.json")  # whoever enqueues the run, just before: in which queue
    config = _Inside("config.yaml")  # the driver, once
    overrides = _Inside("overrides.yaml")  # the driver, once
    lock = _Inside("lock.txt")  # the driver, once
    environment = _Inside("environment.json")  # the driver, once: what was built, and notes
    models = _Inside("models.jsonl")  # whoever registers a model of this run
    marks = _Inside("marks.json")  # whoever marks the run, one after the other: its name, note and tags
    pruned = _Inside("pruned.json")  # its owner, by `aml prune`: what of the run was deleted, and when
    driver_log = _Inside("driver.log")  # a background driver
    state = _Inside("state.json")  # the driver; for child runs and local runs the script
    driver = _Inside("driver.json")  # whoever writes the state; its modification time is the heartbeat
    listing = _Inside("outputs.json")  # the driver, when it finalizes
    cancel = _Inside("cancel.json")  # whoever cancels; created exclusively
    sweep = _Inside("sweep.json")  # the driver of a sweep, once: its search
    sources = _Inside("sources.json")  # the driver of a sweep: the snapshots of its trials
    study = _Inside("study.jsonl")  # the driver of a sweep: Optuna's journal of its trials
    sample = _Inside("sample.json")  # the script, by run.log_sample
    metrics = _Inside("metrics")  # a file for each process that logs
    mlflow = _Inside("mlflow")  # the same, of what only MLflow knows: models and datasets
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
    """The paths of one attempt at a run, which only the worker writes."""

    def __init__(self, folder):
        # type: (str) -> None
        self.folder = folder
        self.claim = os.path.join(folder, "claim.json")  # the script's process, and when it started
        self.result = os.path.join(folder, "result.json")
        self.error = os.path.join(folder, "error.json")  # the script's process: the exception that ended it
        self.work = os.path.join(folder, "work")  # the private copy of the snapshot
        self.outputs = os.path.join(self.work, "outputs")
        self.logs = os.path.join(self.work, "logs")


class SnapshotLayout(object):
    """The paths of a workspace's snapshot store, which keeps each content once."""

    def __init__(self, folder):
        # type: (str | os.PathLike[str]) -> None
        self.folder = os.path.abspath(str(folder))
        self.objects = os.path.join(self.folder, "objects")  # the files, by the sha256 of their content
        self.manifests = os.path.join(self.folder, "manifests")  # a file for each snapshot, by its id

    def manifest(self, identifier):
        # type: (str) -> str
        return os.path.join(self.manifests, identifier + ".json")


class QueueLayout(object):
    """The paths of a queue: a folder of requests for workers of one kind."""

    def __init__(self, folder):
        # type: (str | os.PathLike[str]) -> None
        self.folder = os.path.abspath(str(folder))
        self.worker = os.path.join(self.folder, "worker.json")  # the modules to preload, and the driver of the queue
        self.new = os.path.join(self.folder, "new")
        self.claimed = os.path.join(self.folder, "claimed")  # a folder for each worker, in Slurm for each job
        self.jobs = os.path.join(self.folder, "jobs")  # a file for each submitted job, by its id
        self.ended = os.path.join(self.folder, "ended")  # a file for each worker, or job, that has ended
        self.closed = os.path.join(self.folder, "closed")  # created when no more requests will come
        self.log = os.path.join(self.folder, "worker.log")


def input_variable(name):
    # type: (str) -> str
    """The environment variable that holds the path of the input `name`."""
    return INPUT_PREFIX + "".join(letter if letter.isalnum() else "_" for letter in name.upper())
