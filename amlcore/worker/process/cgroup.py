"""What the cgroup of this process says of memory: its limit, and how often the kernel killed for it."""

import os

ROOT = "/sys/fs/cgroup"
NO_LIMIT = 1 << 60  # the first version writes a huge number where there is none


def memory_limit():
    """The bytes that this cgroup may use; None where there is no limit, or no cgroup."""
    path, first_version = _place()
    if first_version:
        limit = _value(os.path.join(path, "memory.stat"), "hierarchical_memory_limit")
        return limit if limit is not None and limit < NO_LIMIT else None
    limits = []
    while path.startswith(ROOT):
        try:
            with open(os.path.join(path, "memory.max")) as stream:
                limits.append(int(stream.read()))
        except (OSError, ValueError):  # the root has no such file, and `max` is no limit
            pass
        path = os.path.dirname(path)
    return min(limits) if limits else None


def memory_kills():
    """How many processes of this cgroup the kernel has killed for want of memory."""
    path, first_version = _place()
    return _value(os.path.join(path, "memory.oom_control" if first_version else "memory.events"), "oom_kill") or 0


def _place():
    """The folder of this process's cgroup, and whether it is of the first version. See cgroups(7)."""
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
                words = line.split()
                if len(words) == 2 and words[0] == key:
                    return int(words[1])
    except OSError:
        pass
    return None
