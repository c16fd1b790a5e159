"""The Logbook of a run: what its script logs, tags and keeps goes into files of the run's folder."""

import os
import re
import shutil

from amlcore.worker import values
from amlcore.worker.durable import sync, sync_tree
from amlcore.worker.files import read_json, write_json
from amlcore.worker.layout import ATTEMPT_VARIABLE, RUN_VARIABLE, RunLayout
from amlcore.worker.metrics import MetricsTail, last_values, read_metrics, summary, write_record
from amlcore.worker.script import samples, script_runs
from amlcore.worker.script.folder_lock import locked
from amlcore.worker.script.local_folder import LocalFolder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


class Logbook(object):
    """What a script writes of the run in a folder, and what it reads there again."""

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
        """Whether the run has a folder; a local run has none until something is logged, and reading makes none."""
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
        """Log one value; further ones of the same name make a series."""
        values.check_name("log", name)
        self._record("scalar", name, values.scalar("log", name, value), values.whole_step(name, step), description)

    def log_fold(self, name, score, description="", fold=None):
        # type: (str, object, str, int | None) -> float
        """Log the score of one fold of a cross-validation: `name` is their mean so far, `name fold` each of them.

        Returns the mean; each is an interval at which a sweep may stop the trial. Counted are the folds of this
        attempt. A script that goes on from a checkpoint gives the number of each `fold`: those of all attempts count
        then, each once.
        """
        with locked(self._kept(self.layout.metrics)):
            return self._log_fold(name, score, description, fold)

    def _log_fold(self, name, score, description, fold):
        # type: (str, object, str, int | None) -> float
        each = name + " fold"
        self.log(each, score, description, step=fold)
        records = self._fold_records(each)
        if fold is None:
            began = self._attempt_began()
            scores = [float(record["value"]) for record in records if record["at"] >= began]
        else:
            scores = list({record["step"]: float(record["value"]) for record in records}.values())
        scores = scores or [float(str(score))]  # an attempt that was given up for lost records beside the run
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
            raise ValueError("log_row('{}') got no columns: log_row(name, a=1, b=2)".format(name))
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
            raise ValueError("log_image('{}', …) takes either path= or plot=".format(name))
        if plot is not None and not hasattr(plot, "savefig"):
            words = "log_image('{}', plot=…) takes a matplotlib figure, not a {}: a file is given by path="
            raise TypeError(words.format(name, type(plot).__name__))
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
        """Keep the first rows of the data as the sample that a model of this run is described with."""
        write_json(self._kept(self.layout.sample), samples.sample(rows))

    def tag(self, key, value=None):
        # type: (str, object) -> None
        """Set a tag; it can be set again."""
        values.check_name("tag", key)
        self._record("tag", key, None if value is None else values.scalar("tag", key, value))

    def set_tags(self, tags):
        # type: (dict[str, object]) -> None
        for key, value in values.mapping("set_tags", tags).items():
            self.tag(key, value)

    def set_properties(self, properties):
        # type: (dict[str, object]) -> None
        """Set properties, which never change once they are set."""
        with locked(self._kept(self.layout.metrics)):
            self._set_properties(properties)

    def _set_properties(self, properties):
        # type: (dict[str, object]) -> None
        known = self.get_properties()
        new = {}
        for key, value in values.mapping("set_properties", properties).items():
            values.check_name("set_properties", key)
            new[key] = None if value is None else values.scalar("set_properties", key, value)
            if key in known and known[key] != new[key]:
                words = "property '{}' is '{}' and cannot become '{}': properties never change, use tag(key, value)"
                raise ValueError(words.format(key, known[key], new[key]))
        for key, value in new.items():
            if key not in known:
                self._record("property", key, value)

    def add_properties(self, properties):
        # type: (dict[str, object]) -> None
        self.set_properties(properties)

    def get_metrics(self, name=None):
        # type: (str | None) -> dict[str, typing.Any]
        """The metrics by name: the value, or the list of values where it was logged more than once."""
        found = summary(self._records())
        return found if name is None else {key: value for key, value in found.items() if key == name}

    def get_tags(self):
        # type: () -> dict[str, typing.Any]
        return self._last("tag")

    def get_properties(self):
        # type: () -> dict[str, typing.Any]
        return self._last("property")

    def upload_file(self, name, path_or_stream):
        # type: (str, typing.Any) -> None
        """Keep a file, or what a stream gives, with the run as `name`: outputs/… or logs/…."""
        kept = values.kept_path("upload_file", name)
        is_stream = hasattr(path_or_stream, "read")
        if not is_stream and not os.path.isfile(str(path_or_stream)):
            raise FileNotFoundError("upload_file('{}', …): there is no file {}".format(name, path_or_stream))
        target = os.path.join(self._kept_folder(), kept)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if is_stream:
            _write_stream(path_or_stream, target)
        elif os.path.realpath(str(path_or_stream)) != os.path.realpath(target):  # v1 code uploads from outputs/ too
            shutil.copyfile(str(path_or_stream), target)

    def upload_folder(self, name, path):
        # type: (str, str | os.PathLike[str]) -> None
        """Keep all files of a folder with the run, below `name`: outputs, logs, or a folder in them."""
        top = str(path)
        if not os.path.isdir(top):
            raise FileNotFoundError("upload_folder('{}', …): there is no folder {}".format(name, path))
        # Listed before anything is copied, since the copies may lie in the same folder.
        for found in [os.path.join(folder, file) for folder, _, files in os.walk(top) for file in files]:
            inside = os.path.relpath(found, top).replace(os.sep, "/")
            self.upload_file("{}/{}".format(name.rstrip("/"), inside), found)

    def _records(self):
        # type: () -> list[dict[str, typing.Any]]
        return read_metrics(self.layout.metrics) if self._is_recorded else []

    def _fold_records(self, name):
        # type: (str) -> list[dict[str, typing.Any]]
        """What log_fold has logged so far; only what is new is read, however many folds there are."""
        if self._folds is None:
            self._folds = MetricsTail(self.layout.metrics), {}
        tail, known = self._folds
        for record in tail.read_new():
            if record["kind"] == "scalar" and record["name"].endswith(" fold"):
                known.setdefault(record["name"], []).append(record)
        return list(known.get(name, ()))

    def _last(self, kind):
        # type: (str) -> dict[str, typing.Any]
        return last_values(self.layout.metrics, kind) if self._is_recorded else {}

    def _kept_folder(self):
        # type: () -> str
        """The folder whose outputs/ and logs/ are kept with this run; of this script's own run its working copy."""
        attempt = self._attempt()
        if attempt is not None:
            return self.layout.attempt(attempt).work
        if os.path.exists(self.layout.config):
            raise RuntimeError(
                "upload_file: run {} is not the run of this script: its outputs are its own".format(self.id)
            )
        return self.folder

    def _attempt_began(self):
        # type: () -> float
        """When the script of this attempt was started, in seconds since the epoch; 0 outside of an attempt."""
        claim = read_json(self.layout.attempt(int(os.environ.get(ATTEMPT_VARIABLE, "0"))).claim)
        return float(claim["at"]) if claim else 0.0

    def _kept(self, path):
        # type: (str) -> str
        """Where this script writes what the run keeps at `path`.

        Once a newer attempt has begun that is the folder of its own attempt: a script that lives on at a node which
        the cluster gave up for lost changes nothing of the run.
        """
        number = self._attempt()
        if number is not None and os.path.exists(self.layout.attempt(number + 1).folder):
            return os.path.join(self.layout.attempt(number).folder, os.path.basename(path))
        return path

    def _attempt(self):
        # type: () -> int | None
        """The number of this attempt, where this is the run of this script."""
        if self.folder == os.environ.get(RUN_VARIABLE) and ATTEMPT_VARIABLE in os.environ:
            return int(os.environ[ATTEMPT_VARIABLE])
        return None

    def _record(self, kind, name, value, step=None, description=""):
        # type: (str, str, object, int | None, str) -> None
        folder, attempt = self._kept(self.layout.metrics), self._attempt()
        write_record(folder, kind, name, value=value, step=step, description=description, attempt=attempt)
        if attempt is None and script_runs.has_ended(self.folder):
            sync_tree(folder)
            sync([self.folder])


def _write_stream(stream, path):
    # type: (typing.Any, str) -> None
    content = stream.read()
    with open(path, "wb") as target:
        target.write(content.encode("utf-8") if isinstance(content, str) else content)


def _reserve(folder, name, ending):
    # type: (str, str, str) -> str
    """Create a file of a safe name that nobody has yet."""
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
