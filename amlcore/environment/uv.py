"""uv as a subprocess, whose output is passed on line by line."""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amlcore.environment.resolver_options import advice_on
from amlcore.errors import BuildError
from amlcore.log import Log
from amlcore.redaction import redact, secret_names

_KILL_WAIT_S = 5.0
_UNSOLVABLE = 1  # uv's exit status for requirements without a solution; 2 means that it could not find out


class UnsolvableError(BuildError):
    """The requirements contradict each other, or a package does not exist."""


@dataclass(frozen=True)
class ProcessResult:
    """Exit status and standard error of a program."""

    status: int
    lines: tuple[str, ...]

    def require(self, what: str) -> None:
        """Raise BuildError with the program's own message unless it succeeded."""
        if self.status == 0:
            return
        first = next((at for at, line in enumerate(self.lines) if line.startswith("error")), 0)
        message = "\n".join(self.lines[first:]) or f"exit status {self.status} without a message"
        kind = UnsolvableError if self.status == _UNSOLVABLE else BuildError
        raise kind(f"{what}:\n{message}{advice_on(self.lines[first:])}")


def run_uv(arguments: Sequence[str], *, folder: Path, guard: int, log: Log) -> ProcessResult:
    """Run uv in `folder`; see `stream` for the rest."""
    return stream([_program(), *arguments], folder=folder, guard=guard, log=log)


def stream(command: Sequence[str], *, folder: Path, guard: int, log: Log) -> ProcessResult:
    """Run a program to its end; pass each line of its standard error to `log` at once.

    The program inherits the descriptor `guard`, so the lock on what it builds is held until it ends, even if this
    process is killed before. An exception here ends the program and everything that it started.
    """
    lines: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=folder,
        env=_variables(),
        pass_fds=(guard,),
        start_new_session=True,
    ) as process:
        assert process.stderr is not None
        try:
            for line in process.stderr:
                lines.append(redact(line.rstrip(), secret_names))
                log(lines[-1])
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    return ProcessResult(status, tuple(lines))


def _end(process: "subprocess.Popen[str]") -> None:
    """End the program's whole session; its leader was not waited for yet, so its pid is still its own."""
    os.killpg(process.pid, signal.SIGTERM)
    try:
        process.wait(_KILL_WAIT_S)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)


def _program() -> str:
    try:
        from uv import find_uv_bin

        return find_uv_bin()
    except (ImportError, FileNotFoundError):
        raise BuildError("cannot find uv, which resolves and installs environments; run `pip install uv`") from None


def _variables() -> dict[str, str]:
    """This process's variables without those that point uv at another environment; index settings stay."""
    elsewhere = {"VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON"}
    kept = {name: value for name, value in os.environ.items() if name not in elsewhere}
    return {**kept, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
