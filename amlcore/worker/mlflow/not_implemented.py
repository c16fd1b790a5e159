"""What this store has no answer to: each new MLflow adds such methods, and the pages that ask them must go on."""

import inspect

from mlflow.exceptions import MlflowException
from mlflow.protos import databricks_pb2
from mlflow.store.entities.paged_list import PagedList

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing

    Class = typing.TypeVar("Class", bound=type)

LISTING = ("search_", "list_")


def answers_all(store):
    # type: (Class) -> Class
    """Let the methods that `store` does not have answer: a list is empty, anything else is refused in words.

    MLflow's own base class enforces nothing: its abstract methods return None, and others raise an error that its
    server turns into a traceback.
    """
    for name in dir(store):
        method = getattr(store, name)
        if not name.startswith("__") and _is_missing(method):
            setattr(store, name, _empty if name.startswith(LISTING) else _refusal(name))
    return store


def _is_missing(method):
    # type: (typing.Any) -> bool
    if not inspect.isfunction(method) or inspect.iscoroutinefunction(method):
        return False
    raised = {"NotImplementedError", "MlflowNotImplementedException"}
    return getattr(method, "__isabstractmethod__", False) or not raised.isdisjoint(method.__code__.co_names)


def _empty(self, *args, **kwargs):  # noqa: ARG001 - of any method that lists
    # type: (object, object, object) -> typing.Any
    return PagedList([], None)


def _refusal(name):
    # type: (str) -> typing.Any
    def refuse(self, *args, **kwargs):  # noqa: ARG001 - of any method
        # type: (object, object, object) -> None
        raise not_implemented("amlcore has no {}".format(name.strip("_").replace("_", " ")))

    refuse.__name__ = name
    return refuse


def not_implemented(message):
    # type: (str) -> MlflowException
    code = getattr(databricks_pb2, "NOT_IMPLEMENTED", databricks_pb2.ENDPOINT_NOT_FOUND)
    return MlflowException(message, error_code=code)
