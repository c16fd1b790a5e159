"""The WorkCopy: the private copy of a snapshot and of inputs in which one attempt runs."""

import os
import shutil

from amlcore.worker.layout import INPUT_PREFIX, input_variable
from amlcore.worker.objects import copy_object
from amlcore.worker.process.inputs import is_folder, walk
from amlcore.worker.references import resolved

MAX_STRAYS = 100
MAX_LINKS = 40  # the kernel follows as many
RETURNED_FOLDERS = ("outputs", "logs")


class CanceledError(Exception):
    """The run was canceled while its files were being copied."""


class WorkCopy(object):
    """Makes the copy for a request, and finds afterwards what the script has left in it."""

    def __init__(self, request, manifest, folder, *, canceled):
        self.request = request
        self.manifest = manifest
        self.folder = folder
        self._canceled = canceled
        self._written = {}

    def make(self):
        """Copy the snapshot's files and the inputs with mode=copy; create outputs/ and logs/."""
        os.makedirs(self.folder)
        created = set()  # type: set[str]
        for path, digest, mode, _ in self.manifest["files"]:
            target = self._prepare_path(path, created)
            self._check_canceled()
            copy_object(self.request["objects"], digest, target, name=path)
            os.chmod(target, mode)
            status = os.stat(target)
            self._written[path] = (status.st_size, status.st_mtime_ns)
        for path, target in self.manifest["links"]:
            os.symlink(target, self._prepare_path(path, created))
            self._written[path] = None
        for name in RETURNED_FOLDERS:
            if not os.path.lexists(os.path.join(self.folder, name)):
                os.mkdir(os.path.join(self.folder, name))
        for name, source in self.request["inputs"].items():
            self._copy_input(name, source)

    def input_path(self, name):
        """The path at which the script finds the input `name`."""
        source = self.request["inputs"][name]
        if source["mode"] == "copy":
            return os.path.join(self.folder, "inputs", name, os.path.basename(os.path.abspath(source["path"])))
        return source["path"]

    def arguments(self):
        """The script's arguments, with references to inputs and environment variables replaced."""
        return [self._resolved(argument) for argument in self.request["argv"]]

    def variables(self):
        """The environment variables with the paths of the inputs."""
        stale = [name for name in os.environ if name.startswith(INPUT_PREFIX)]
        values = dict.fromkeys(stale)
        values.update({input_variable(name): self.input_path(name) for name in self.request["inputs"]})
        return values

    def strays(self):
        """Path and size of the files that the script wrote or changed outside outputs/ and logs/, at most 100."""
        strays = []
        for parent, folders, names in os.walk(self.folder):
            relative = os.path.relpath(parent, self.folder)
            skipped = RETURNED_FOLDERS + self._copied_inputs() if relative == "." else ("__pycache__",)
            folders[:] = sorted(name for name in folders if name not in skipped + ("__pycache__",))
            for name in sorted(names):
                path = os.path.normpath(os.path.join(relative, name))
                status = os.lstat(os.path.join(parent, name))
                if path in self._written and self._written[path] in (None, (status.st_size, status.st_mtime_ns)):
                    continue
                strays.append({"path": path, "size": status.st_size})
                if len(strays) == MAX_STRAYS:
                    return strays
        return strays

    def _copied_inputs(self):
        has_copies = any(source["mode"] == "copy" for source in self.request["inputs"].values())
        return ("inputs",) if has_copies else ()

    def _prepare_path(self, path, created):
        """The path of a file in the copy; creates its folder."""
        target = os.path.join(self.folder, path)
        parent = os.path.dirname(target)
        if parent not in created:
            os.makedirs(parent, exist_ok=True)
            created.add(parent)
        return target

    def _check_canceled(self):
        if self._canceled():
            raise CanceledError

    def _copy_input(self, name, source):
        if not os.path.exists(source["path"]):
            raise FileNotFoundError("input '{}': there is no file or folder {}".format(name, source["path"]))
        if source["mode"] != "copy":
            return
        target = self.input_path(name)
        inputs = os.path.join(os.path.realpath(self.folder), "inputs", "")
        if not os.path.realpath(target).startswith(inputs):
            raise ValueError("input '{}': its copy {} would lie outside {}".format(name, target, inputs))
        os.makedirs(os.path.dirname(target))
        if is_folder(source["path"]):
            self._copy_folder(source["path"], target)
        else:
            shutil.copyfile(source["path"], target)

    def _copy_folder(self, folder, target):
        for parent, names in walk(folder):
            into = os.path.normpath(os.path.join(target, os.path.relpath(parent, folder)))
            os.mkdir(into)
            for name in names:
                self._check_canceled()
                shutil.copyfile(os.path.join(parent, name), os.path.join(into, name))

    def _resolved(self, argument):
        for name in self.request["inputs"]:
            argument = argument.replace("${input:%s}" % name, self.input_path(name))
        return resolved(argument)


def start_folder(manifest, request):
    """The folder of the snapshot in which python looks first for the modules of a request's script."""
    return "" if request.get("module") else script_folder(manifest, request["script"])


def script_folder(manifest, script):
    """The folder of `script` in the snapshot after following links, which python puts on sys.path."""
    links = dict(manifest["links"])
    waiting = script.split("/")
    resolved_parts = []  # type: list[str]
    followed = 0
    while waiting:
        part = waiting.pop(0)
        if part == "..":
            del resolved_parts[-1:]
        elif part not in ("", "."):
            resolved_parts.append(part)
        target = links.get("/".join(resolved_parts))
        if target is not None and followed < MAX_LINKS:
            followed += 1
            resolved_parts.pop()
            waiting = target.split("/") + waiting
    return "/".join(resolved_parts[:-1])
