"""Makes the links in a run's outputs and logs survive the end of its working copy."""

import os
import shutil
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

MAX_ROUNDS = 5  # a copied folder may contain links of its own
CLOCK_S = 2.0  # how far the clocks of a filesystem and of this host may differ


def keep_linked(folder, run, since):
    # type: (str, str, float) -> list[str]
    """Make each link in `folder`, which is about to be moved out of a working copy, lead to its file afterwards.

    A link within the folder becomes relative. A link to elsewhere in the `run` is replaced by its target, and so is a
    link to a file anywhere that was written after `since`.

    Returns a description of each link that is broken or leads out of the run.
    """
    outer = os.path.realpath(run)
    if os.path.islink(folder) and not _make_real(folder, outer):
        return []
    top = os.path.realpath(folder)
    problems = {}  # type: dict[str, str]
    for _ in range(MAX_ROUNDS):
        problems = {}
        changed = False
        for link in _links(folder):
            try:
                changed = _keep(link, top, outer, since, problems) or changed
            except OSError as error:
                problems[link] = "could not be replaced by its target ({})".format(error.strerror)
        if not changed:
            break
    base = os.path.dirname(folder)
    return ["{} {}".format(os.path.relpath(link, base), problem) for link, problem in sorted(problems.items())]


def _make_real(folder, outer):
    # type: (str, str) -> bool
    """Replace a kept folder that the script made a link to another folder of the run; returns whether it worked."""
    real = os.path.realpath(folder)
    if not os.path.isdir(real) or not _is_in(real, outer) or _is_in(os.path.realpath(os.path.dirname(folder)), real):
        return False
    try:
        _replace(folder, lambda path: _copy(real, path))
    except OSError:
        return False
    return True


def _links(folder):
    # type: (str) -> list[str]
    links = []
    for parent, folders, names in os.walk(folder):
        links += [path for path in (os.path.join(parent, name) for name in folders + names) if os.path.islink(path)]
    return links


def _keep(link, top, outer, since, problems):
    # type: (str, str, str, float, dict[str, str]) -> bool
    """Make one link survive; returns whether that may have added other links."""
    target = os.readlink(link)
    real = os.path.realpath(link)
    here = os.path.realpath(os.path.dirname(link))
    if not os.path.exists(link):
        problems[link] = "is a link to {}, which does not exist".format(target)
    elif _is_in(real, top):
        straight = os.path.normpath(os.path.join(here, target))
        if os.path.isabs(target) or not _is_in(straight, top):
            _replace(link, lambda path: os.symlink(os.path.relpath(real, here), path))
    elif _is_in(here, real):
        problems[link] = "is a link to {}, a folder that contains it: its content was not kept there".format(target)
    elif _is_in(real, outer):
        _replace(link, lambda path: _copy(real, path))
        return os.path.isdir(link)
    elif os.path.isfile(real) and os.stat(real).st_mtime >= since - CLOCK_S:
        _replace(link, lambda path: shutil.copy2(real, path))
    else:
        problems[link] = "is a link to {}, outside the run: the link was kept, but not its target".format(target)
    return False


def _is_in(path, folder):
    # type: (str, str) -> bool
    return path == folder or path.startswith(folder + os.sep)


def _replace(link, make):
    # type: (str, typing.Callable[[str], object]) -> None
    """Replace a link by what `make` creates at a path, whole or not at all."""
    beside = tempfile.mkdtemp(prefix=".", dir=os.path.dirname(link))
    try:
        path = os.path.join(beside, "new")
        make(path)
        if os.path.isdir(path) and not os.path.islink(path):
            os.unlink(link)
        os.rename(path, link)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _copy(source, target):
    # type: (str, str) -> None
    """Copy a file or a folder of the run, by hard links if possible, since the working copy is removed anyway."""
    if not os.path.isdir(source):
        _share(source, target)
        return
    for parent, folders, names in os.walk(source):
        into = os.path.normpath(os.path.join(target, os.path.relpath(parent, source)))
        os.mkdir(into)
        for name in folders + names:
            path = os.path.join(parent, name)
            if os.path.islink(path):
                _copy_link(path, os.path.join(into, name), source)
            elif os.path.isfile(path):
                _share(path, os.path.join(into, name))


def _share(source, target):
    # type: (str, str) -> None
    try:
        os.link(source, target)
    except OSError:  # another filesystem, or one without hard links
        shutil.copy2(source, target)


def _copy_link(link, target, source):
    # type: (str, str, str) -> None
    """Copy a link: unchanged if it leads within the copied folder, else with its absolute target."""
    destination = os.readlink(link)
    inside = _is_in(os.path.normpath(os.path.join(os.path.dirname(link), destination)), source)
    os.symlink(destination if inside and not os.path.isabs(destination) else os.path.realpath(link), target)
