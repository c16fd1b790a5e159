"""The Logbook of a run: writes what its script logs, tags and keeps into the run's folder."""

import os
import re
import shutil

from amlcore.worker import values
from amlcore.worker.durable import sync, sync_tree
from amlcore.worker.files import read_json, write_json
from amlcore.worker.layout import ATTEMPT_VARIABLE, RUN_VARIABLE, RunLayout
from amlcore.worker.metrics import MetricsTail, last_values, new_record, read_metrics, summary, write_records
from amlcore.worker.script import samples, script_runs
from amlcore.worker.script.folder_lock import locked
from amlcore.worker.script.local_folder import LocalFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


class Logbook(object):
    """The part of a Run that writes to the run's folder, and reads it back."""

    _folds = None  # type: typing.Any

    def __init__(self, folder):
        # type: (str | os.PathLike[str]) -> None
        self._folder = folder if isinstance(folder, LocalFolder) else os.path.abspath(str(folder))

    @property
    def folder(self):
        # type: () -> str
        return os.fspath(self._folder)

    @property
    def _is_recorded(self):
        # type: () -> bool
        """Whether the run has a folder; a local run has none until something is logged."""
        return not isinstance(self._folder, LocalFolder) or self._folder.exists

    @property
    def layout(self):
        # type: () -> RunLayout
        return RunLayout(self.folder)

    @property
    def id(self):
        # type: () -> str
        return os.path.basename(self.folder)

    def log(self, name, value, description="", step=None):
        # type: (str, object, str, int | None) -> None
        """Log one value; several of one name are a series."""
        values.check_name("log", name)
        self._record("scalar", name, values.scalar("log", name, value), values.whole_step(name, step), description)

    def log_fold(self, name, score, description="", fold=None):
        # type: (str, object, str, int | None) -> float
        """Log the score of one fold of a cross-validation as `name fold`, and the mean so far as `name`.

        Returns the mean; each one is an interval at which a sweep may stop the trial. The mean is over the folds of
        this attempt. A script that resumes from a checkpoint passes the number of each `fold`: then the folds of all
        attempts count, each once.
        """
        with locked(self._kept(self.layout.metrics)):
            return self._log_fold(name, score, description, fold)

    def _log_fold(self, name, score, description, fold):
        # type: (str, object, str, int | None) -> float
        each = name + " fold"
        self.log(each, score, description, step=fold)
        records = self._fold_records(each)
        if fold is None:
            start = self._attempt_start()
            scores = [float(record["value"]) for record in records if record["at"] >= start]
        else:
            scores = list({record["step"]: float(record["value"]) for record in records}.values())
        scores = scores or [float(str(score))]  # a superseded attempt records outside the run
        mean = sum(scores) / len(scores)
        self.log(name, mean, description, step=len(scores))
        return mean

    def log_list(self, name, value, description=""):
        # type: (str, object, str) -> None
        values.check_name("log_list", name)
        self._record("list", name, values.scalars("log_list", name, value), None, description)

    def log_row(self, name, description=None, **kwargs):
        # type: (str, str | None, object) -> None
        """Log one row of a table, its columns as keywords."""
        values.check_name("log_row", name)
        if not kwargs:
            raise ValueError("log_row('{}') needs columns, as in log_row(name, a=1, b=2)".format(name))
        row = {key: values.scalar("log_row", key, value) for key, value in kwargs.items()}
        self._record("row", name, row, None, description or "")

    def log_table(self, name, value, description=""):
        # type: (str, object, str) -> None
        """Log a table as a dict of columns."""
        values.check_name("log_table", name)
        self._record("table", name, values.table(name, value), None, description)

    def log_image(self, name, path=None, plot=None, description=""):
        # type: (str, str | os.PathLike[str] | None, typing.Any, str) -> None
        """Keep an image file, or a matplotlib figure (pyplot itself means the current one), with the run."""
        values.check_name("log_image", name)
        if (path is None) == (plot is None):
            raise ValueError("log_image('{}', …) needs either path= or plot=".format(name))
        if plot is not None and not hasattr(plot, "savefig"):
            message = "log_image('{}', plot=…) needs a matplotlib figure, not a {}; use path= for a file"
            raise TypeError(message.format(name, type(plot).__name__))
        if path is not None and not os.path.isfile(str(path)):
            raise FileNotFoundError("log_image('{}', …): there is no file {}".format(name, path))
        ending = ".png" if path is None else os.path.splitext(str(path))[1]
        target = _reserve(self._kept(self.layout.images), name, ending)
        if path is None:
            plot.savefig(target)
        else:
            shutil.copyfile(str(path), target)
        self._record("image", name, os.path.relpath(target, self.folder), None, description)

    def log_confusion_matrix(self, name, value, description="", labels=None):
        # type: (str, object, str, typing.Sequence[object] | None) -> None
        """Log a confusion matrix: rows of counts, or Azure ML's form with class_labels and matrix."""
        values.check_name("log_confusion_matrix", name)
        self._record("confusion_matrix", name, values.confusion_matrix(name, value, labels), None, description)

    def log_sample(self, rows):
        # type: (object) -> None
        """Keep the first rows of the data as the sample input of a model of this run."""
        write_json(self._kept(self.layout.sample), samples.sample(rows))

    def tag(self, key, value=None):
        # type: (str, object) -> None
        """Set a tag; it may be set again."""
        values.check_name("tag", key)
        self._record("tag", key, None if value is None else values.scalar("tag", key, value))

    def set_tags(self, tags):
        # type: (dict[str, object]) -> None
        for key, value in values.mapping("set_tags", tags).items():
            self.tag(key, value)

    def set_properties(self, properties):
        # type: (dict[str, object]) -> None
        """Set properties, which cannot be changed later."""
        with locked(self._kept(self.layout.metrics)):
            self._set_properties(properties)

    def _set_properties(self, properties):
        # type: (dict[str, object]) -> None
        properties_before = self.get_properties()
        new = {}
        for key, value in values.mapping("set_properties", properties).items():
            values.check_name("set_properties", key)
            new[key] = None if value is None else values.scalar("set_properties", key, value)
            if key in properties_before and properties_before[key] != new[key]:
                message = "property '{}' is '{}' and cannot become '{}'; use tag(key, value) for what changes"
                raise ValueError(message.format(key, properties_before[key], new[key]))
        for key, value in new.items():
            if key not in properties_before:
                self._record("property", key, value)

    def add_properties(self, properties):
        # type: (dict[str, object]) -> None
        self.set_properties(properties)

    def get_metrics(self, name=None):
        # type: (str | None) -> dict[str, typing.Any]
        """The metrics by name: the value, or the list of values if it was logged more than once."""
        metrics = summary(self._records())
        return metrics if name is None else {key: value for key, value in metrics.items() if key == name}

    def get_tags(self):
        # type: () -> dict[str, typing.Any]
        return self._last("tag")

    def get_properties(self):
        # type: () -> dict[str, typing.Any]
        return self._last("property")

    def upload_file(self, name, path_or_stream):
        # type: (str, typing.Any) -> None
        """Keep a file, or the content of a stream, with the run as `name`: outputs/… or logs/…."""
        relative = values.kept_path("upload_file", name)
        is_stream = hasattr(path_or_stream, "read")
        if not is_stream and not os.path.isfile(str(path_or_stream)):
            raise FileNotFoundError("upload_file('{}', …): there is no file {}".format(name, path_or_stream))
        target = os.path.join(self._kept_folder(), relative)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if is_stream:
            _write_stream(path_or_stream, target)
        elif os.path.realpath(str(path_or_stream)) != os.path.realpath(target):  # v1 code also uploads from outputs/
            shutil.copyfile(str(path_or_stream), target)

    def upload_folder(self, name, path):
        # type: (str, str | os.PathLike[str]) -> None
        """Keep all files of a folder with the run, below `name`: outputs, logs or a folder in them."""
        top = str(path)
        if not os.path.isdir(top):
            raise FileNotFoundError("upload_folder('{}', …): there is no folder {}".format(name, path))
        # Listed before anything is copied, since the copies may be in the same folder.
        for source in [os.path.join(folder, file) for folder, _, files in os.walk(top) for file in files]:
            inside = os.path.relpath(source, top).replace(os.sep, "/")
            self.upload_file("{}/{}".format(name.rstrip("/"), inside), source)

    def _records(self):
        # type: () -> list[dict[str, typing.Any]]
        return read_metrics(self.layout.metrics) if self._is_recorded else []

    def _fold_records(self, name):
        # type: (str) -> list[dict[str, typing.Any]]
        """What log_fold has logged so far; reads only the new records."""
        if self._folds is None:
            self._folds = MetricsTail(self.layout.metrics), {}
        tail, records = self._folds
        for record in tail.read_new():
            if record["kind"] == "scalar" and record["name"].endswith(" fold"):
                records.setdefault(record["name"], []).append(record)
        return list(records.get(name, ()))

    def _last(self, kind):
        # type: (str) -> dict[str, typing.Any]
        return last_values(self.layout.metrics, kind) if self._is_recorded else {}

    def _kept_folder(self):
        # type: () -> str
        """The folder whose outputs/ and logs/ are kept with this run; for the script's own run its working copy."""
        attempt = self._attempt()
        if attempt is not None:
            return self.layout.attempt(attempt).work
        if os.path.exists(self.layout.config):
            raise RuntimeError(
                "upload_file: run {} is not the run of this script, so its outputs cannot be changed".format(self.id)
            )
        return self.folder

    def _attempt_start(self):
        # type: () -> float
        """When the script of this attempt started, in seconds since the epoch; 0 outside an attempt."""
        claim = read_json(self.layout.attempt(int(os.environ.get(ATTEMPT_VARIABLE, "0"))).claim)
        return float(claim["at"]) if claim else 0.0

    def _kept(self, path):
        # type: (str) -> str
        """The path to write to instead of `path`, which is the same unless a newer attempt has started.

        Then it is in the folder of this attempt: a script that survives on a node that the cluster considers lost
        must not change the run.
        """
        number = self._attempt()
        if number is not None and os.path.exists(self.layout.attempt(number + 1).folder):
            return os.path.join(self.layout.attempt(number).folder, os.path.basename(path))
        return path

    def _attempt(self):
        # type: () -> int | None
        """The number of this attempt; None if this is not the run of this script."""
        if self.folder == os.environ.get(RUN_VARIABLE) and ATTEMPT_VARIABLE in os.environ:
            return int(os.environ[ATTEMPT_VARIABLE])
        return None

    def _record(self, kind, name, value, step=None, description=""):
        # type: (str, str, object, int | None, str) -> None
        self._write(self.layout.metrics, [new_record(kind, name, value, step, description, self._attempt())])

    def _write(self, folder, records):
        # type: (str, list[dict[str, object]]) -> None
        """Append lines to this process's file in a folder of the run."""
        folder, attempt = self._kept(folder), self._attempt()
        write_records(folder, records)
        if attempt is None and script_runs.has_ended(self.folder):
            _touch(self.folder)
            sync_tree(folder)
            sync([self.folder])


def _touch(folder):
    # type: (str) -> None
    """Tell whoever has read the ended run in `folder` to read it again; see amlcore/index/fingerprint.py."""
    try:
        os.utime(folder)
    except OSError:  # of another user
        pass


def _write_stream(stream, path):
    # type: (typing.Any, str) -> None
    content = stream.read()
    with open(path, "wb") as target:
        target.write(content.encode("utf-8") if isinstance(content, str) else content)


def _reserve(folder, name, ending):
    # type: (str, str, str) -> str
    """Create an empty file with a safe and unused name."""
    os.makedirs(folder, exist_ok=True)
    stem = re.sub(r"[^\w.-]+", "_", name).strip("._") or "image"
    number = 0
    while True:
        path = os.path.join(folder, stem[:100] + ("_{}".format(number) if number else "") + ending)
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
            return path
        except FileExistsError:
            number += 1
