"""Other users of this machine, by their numbers: root's tests call `aml` as each of them."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import amlcore
from tests.support.aml import Said

GROUP = 41000


def unable() -> str:
    """Why this machine cannot have other users; "" where it can."""
    if os.geteuid() != 0:
        return "only root can be somebody else"
    missing = [name for name in ("setpriv", "unshare", "mount") if shutil.which(name) is None]
    if missing:
        return f"this machine has no {', '.join(missing)}"
    if subprocess.run(["unshare", "--mount", "true"], capture_output=True, check=False).returncode:
        return "this machine lets nobody mount anything"
    return ""


def may_enter(folder: Path) -> bool:
    """Whether everybody may reach what is in `folder`."""
    return all(path.stat().st_mode & 0o001 for path in (folder, *folder.parents))


def group_workspace(folder: Path) -> Path:
    """A workspace that all of GROUP may write, below `folder`."""
    (folder / ".amlcore").mkdir(parents=True)
    (folder / ".amlcore/config.json").write_text('{"workspace_name": "group"}')
    for path in (folder, folder / ".amlcore"):
        os.chown(path, 0, GROUP)
        path.chmod(0o2775)
    return folder


@dataclass(frozen=True)
class User:
    """Somebody of GROUP."""

    uid: int
    umask: int = 0o022
    bentoml_home: Path | None = None
    """Below the workspace; None: one of their own."""

    @property
    def name(self) -> str:
        """As messages name this user."""
        try:
            return pwd.getpwuid(self.uid).pw_name
        except KeyError:
            return f"uid {self.uid}"

    def command(self, workspace: Path, *arguments: str) -> list[str]:
        """The command line by which this user calls `aml` in `workspace`."""
        home = workspace.parent / f"home-{self.uid}"
        if not home.exists():
            home.mkdir(mode=0o700)
            os.chown(home, self.uid, GROUP)
        store = self.bentoml_home or home / "bento"
        store_and_home = f'export HOME="$2" TMPDIR="$2" BENTOML_HOME="{store}" && unset UV_CACHE_DIR'
        inner = f'cd "$1" && umask {self.umask:o} && {store_and_home} && shift 2'
        someone = ["setpriv", f"--reuid={self.uid}", f"--regid={GROUP}", "--clear-groups", "--inh-caps=-all"]
        aml = [*someone, sys.executable, "-m", "amlcore", *arguments]
        needed = {Path(sys.base_prefix), Path(sys.prefix), Path(amlcore.__file__).parents[1], workspace, home}
        script = f'{_reachable(needed)}\n{inner} && exec "$@"'
        return [
            "unshare",
            "--mount",
            "--propagation",
            "slave",
            "sh",
            "-ec",
            script,
            "sh",
            str(workspace),
            str(home),
            *aml,
        ]

    def aml(self, workspace: Path, *arguments: str, status: int | None = 0) -> Said:
        done = subprocess.run(
            self.command(workspace, *arguments), capture_output=True, text=True, timeout=240, check=False
        )
        said = Said(done.returncode, done.stdout, done.stderr)
        assert status is None or said.status == status, said
        assert "Traceback" not in said.err, said
        return said


def _reachable(needed: Iterable[Path]) -> str:
    """Lines of a shell that let everybody reach some folders below those that only root may enter, as /root."""
    hidden: dict[Path, list[Path]] = {}
    for path in needed:
        closed = [parent for parent in reversed(path.parents) if not parent.stat().st_mode & 0o001]
        if closed:
            hidden.setdefault(closed[0], []).append(path)
    kept = [path for paths in hidden.values() for path in paths]
    lines = ["mount -t tmpfs none /mnt"]
    for number, path in enumerate(kept):
        lines += [f"mkdir /mnt/{number}", f"mount --bind '{path}' /mnt/{number}"]
    lines += [f"mount -t tmpfs -o mode=755 none '{folder}'" for folder in hidden]
    for number, path in enumerate(kept):
        lines += [f"mkdir -p '{path}'", f"mount --bind /mnt/{number} '{path}'"]
    return "\n".join(lines)
