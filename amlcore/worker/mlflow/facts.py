"""What MLflow is told of the runs of a workspace: plain values, and the protocol of whatever collects them."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401


class RunFacts(object):
    """A run as MLflow knows one: its parameters and tags are text, and each metric has one last value.

    Attributes
    ----------
    status : str
        In MLflow's words: SCHEDULED, RUNNING, FINISHED, FAILED or KILLED.
    started_ms, ended_ms : int or None
        In milliseconds since the epoch.
    parameters, tags : dict of str
    metrics : dict
        The last (value, step, milliseconds) of each.
    entity : mlflow.entities.Run or None
        Filled in by the store, so that a run that has not changed is converted once.
    """

    __slots__ = (
        "ended_ms",
        "entity",
        "experiment",
        "folder",
        "id",
        "is_deleted",
        "metrics",
        "name",
        "parameters",
        "started_ms",
        "status",
        "tags",
        "user",
    )

    def __init__(
        self,
        id,  # noqa: A002 - the key of the record
        experiment,
        folder,
        user="",
        name=None,
        status="RUNNING",
        is_deleted=False,
        started_ms=0,
        ended_ms=None,
        parameters=None,
        metrics=None,
        tags=None,
    ):
        # type: (...) -> None
        self.id = id  # type: str
        self.experiment = experiment  # type: str
        self.folder = folder  # type: str
        self.user = user  # type: str
        self.name = name or id  # type: str
        self.status = status  # type: str
        self.is_deleted = is_deleted  # type: bool
        self.started_ms = started_ms  # type: int
        self.ended_ms = ended_ms  # type: int | None
        self.parameters = parameters or {}  # type: dict[str, str]
        self.metrics = metrics or {}  # type: dict[str, tuple[float, int, int]]
        self.tags = tags or {}  # type: dict[str, str]
        self.entity = None  # type: typing.Any


class ExperimentFacts(object):
    """An experiment: a folder of runs."""

    def __init__(self, name, created_ms=0, updated_ms=0):
        # type: (str, int, int) -> None
        self.name = name
        self.created_ms = created_ms
        self.updated_ms = updated_ms


class RunSource(object):
    """Where the facts come from: FolderSource reads the folders, and an index may take its place.

    A source returns the same RunFacts object for as long as a run has not changed.
    """

    finite_only = False
    """Whether values that are not finite are replaced, since MLflow's page shows nothing of a run that has one."""

    def experiments(self):
        # type: () -> list[ExperimentFacts]
        raise NotImplementedError

    def experiment(self, name):
        # type: (str) -> ExperimentFacts | None
        """One experiment by its name, which is its id too; a source may know it without reading all of them."""
        return next((one for one in self.experiments() if one.name == name), None)

    def runs(self, experiment):
        # type: (str) -> typing.Iterable[RunFacts]
        """The runs in the folder of an experiment, children too; none if there is no such experiment."""
        raise NotImplementedError

    def run(self, identifier):
        # type: (str) -> RunFacts | None
        """One run by its id, as it is now."""
        raise NotImplementedError
