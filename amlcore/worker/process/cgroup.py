"""The memory limit of this process's cgroup, and how often the kernel has enforced it."""

import os

ROOT = "/sys/fs/cgroup"
NO_LIMIT = 1 << 60  # version 1 has a huge number if there is no limit


def memory_limit():
    """The bytes that this cgroup may use; None if there is no limit or no cgroup."""
    path, is_version_1 = _folder()
    if is_version_1:
        limit = _value(os.path.join(path, "memory.stat"), "hierarchical_memory_limit")
        return limit if limit is not None and limit < NO_LIMIT else None
    limits = []
    while path.startswith(ROOT):
        try:
            with open(os.path.join(path, "memory.max")) as stream:
                limits.append(int(stream.read()))
        except (OSError, ValueError):  # the root has no such file, and `max` means no limit
            pass
        path = os.path.dirname(path)
    return min(limits) if limits else None


def memory_kills():
    """The number of processes of this cgroup that the kernel has killed for their memory."""
    path, is_version_1 = _folder()
    return _value(os.path.join(path, "memory.oom_control" if is_version_1 else "memory.events"), "oom_kill") or 0


def _folder():
    """The folder of this process's cgroup, and whether that is version 1. See cgroups(7)."""
    unified = ""
    try:
        with open("/proc/self/cgroup") as stream:
            for line in stream:
                _, controllers, path = line.rstrip("\n").split(":", 2)
                if "memory" in controllers.split(","):
                    return os.path.join(ROOT, "memory", path.lstrip("/")), True
                if not controllers:
                    unified = path
    except OSError:
        pass
    return os.path.join(ROOT, unified.lstrip("/")), False


def _value(path, key):
    try:
        with open(path) as stream:
            for line in stream:
                fields = line.split()
                if len(fields) == 2 and fields[0] == key:
                    return int(fields[1])
    except OSError:
        pass
    return None
