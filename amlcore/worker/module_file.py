"""Finds the file of a module that is run as by `python -m`."""

import os

MAIN = "__main__"


def find_module(folder, module):
    # type: (str, str) -> tuple[str, str] | None
    """The module that `python -m MODULE` executes in `folder`, and its path there; None if there is none.

    For a package it is its `__main__`. A folder without `__init__.py` is a package too, unless there is a module of
    that name.
    """
    *parents, last = module.split(".")
    place = ""
    for parent in parents:
        if _is_package(folder, place, parent) is None:
            return None
        place = os.path.join(place, parent)
    regular = _is_package(folder, place, last)
    if regular or (regular is False and not _is_file(folder, place, last + ".py")):
        main = os.path.join(place, last, MAIN + ".py")
        return ("{}.{}".format(module, MAIN), main) if _is_file(folder, main) else None
    path = os.path.join(place, last + ".py")
    return (module, path) if _is_file(folder, path) else None


def _is_package(folder, place, name):
    # type: (str, str, str) -> bool | None
    """True for a package with an `__init__.py`, False for one without, None if it is not a package."""
    if _is_file(folder, place, name, "__init__.py"):
        return True
    if os.path.isdir(os.path.join(folder, place, name)) and not _is_file(folder, place, name + ".py"):
        return False
    return None


def _is_file(*parts):
    # type: (str) -> bool
    return os.path.isfile(os.path.join(*parts))
