"""The links in what a run keeps: made to lead to their files once the working copy around them is gone."""

import os
import shutil
import tempfile

TYPE_CHECKING = False
if TYPE_CHECKING:
    import typing  # noqa: F401

MAX_ROUNDS = 5  # a folder that is copied brings links of its own, which may lead to further ones
CLOCK_S = 2.0  # the clocks of a filesystem and of this host may differ by so much


def keep_linked(folder, run, since):
    # type: (str, str, float) -> list[str]
    """Let each link in `folder`, which is about to be moved out of a working copy, lead to its file afterwards.

    A link inside of the folder becomes a relative one. One to elsewhere in the folder of the `run` is replaced by what
    it leads to, and so is one to a file anywhere that was written after `since`.

    Returns the links that lead nowhere, or out of the run, in words.
    """
    outer = os.path.realpath(run)
    if os.path.islink(folder) and not _made_real(folder, outer):
        return []
    top = os.path.realpath(folder)
    named = {}  # type: dict[str, str]
    for _ in range(MAX_ROUNDS):
        named = {}
        changed = False
        for link in _links(folder):
            try:
                changed = _keep(link, top, outer, since, named) or changed
            except OSError as error:
                named[link] = "could not be replaced by its file ({})".format(error.strerror)
        if not changed:
            break
    base = os.path.dirname(folder)
    return ["{} {}".format(os.path.relpath(link, base), words) for link, words in sorted(named.items())]


def _made_real(folder, outer):
    # type: (str, str) -> bool
    """Whether the kept folder, which the script made a link to another one of its run, is a folder again."""
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
    found = []
    for parent, folders, names in os.walk(folder):
        found += [path for path in (os.path.join(parent, name) for name in folders + names) if os.path.islink(path)]
    return found


def _keep(link, top, outer, since, named):
    # type: (str, str, str, float, dict[str, str]) -> bool
    """Make one link last; returns whether that may have brought others."""
    target = os.readlink(link)
    real = os.path.realpath(link)
    here = os.path.realpath(os.path.dirname(link))
    if not os.path.exists(link):
        named[link] = "is a link to {}, which leads nowhere".format(target)
    elif _is_in(real, top):
        straight = os.path.normpath(os.path.join(here, target))
        if os.path.isabs(target) or not _is_in(straight, top):
            _replace(link, lambda path: os.symlink(os.path.relpath(real, here), path))
    elif _is_in(here, real):
        named[link] = "is a link to {}, a folder that it lies in: nothing of it was kept there".format(target)
    elif _is_in(real, outer):
        _replace(link, lambda path: _copy(real, path))
        return os.path.isdir(link)
    elif os.path.isfile(real) and os.stat(real).st_mtime >= since - CLOCK_S:
        _replace(link, lambda path: shutil.copy2(real, path))
    else:
        named[link] = "is a link to {}, outside of the run: the link is kept, and not what it leads to".format(target)
    return False


def _is_in(path, folder):
    # type: (str, str) -> bool
    return path == folder or path.startswith(folder + os.sep)


def _replace(link, make):
    # type: (str, typing.Callable[[str], object]) -> None
    """Put what `make` makes at a path into the place of a link, whole or not at all."""
    beside = tempfile.mkdtemp(prefix=".", dir=os.path.dirname(link))
    try:
        made = os.path.join(beside, "made")
        make(made)
        if os.path.isdir(made) and not os.path.islink(made):
            os.unlink(link)
        os.rename(made, link)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _copy(source, target):
    # type: (str, str) -> None
    """Copy a file or a folder of the run; its files are shared where they can be, since the working copy goes."""
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
    """A link within the copied folder goes with it as it is; any other leads where it led."""
    leads = os.readlink(link)
    inside = _is_in(os.path.normpath(os.path.join(os.path.dirname(link), leads)), source)
    os.symlink(leads if inside and not os.path.isabs(leads) else os.path.realpath(link), target)
