"""uv as a subprocess, its words passed on as they come."""

import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from amlcore.environment.resolver_options import advice_on
from amlcore.errors import BuildError
from amlcore.log import Log

_KILL_WAIT_S = 5.0
_UNSOLVABLE = 1  # uv's status where it has its answer; 2 where it could not find out


class UnsolvableError(BuildError):
    """What was asked for contradicts itself, or is not there."""


@dataclass(frozen=True)
class ProcessResult:
    """How a program ended, and what it said."""

    status: int
    words: tuple[str, ...]

    def require(self, what: str) -> None:
        """Raises BuildError with the program's own words unless it ended well."""
        if self.status == 0:
            return
        first = next((at for at, line in enumerate(self.words) if line.startswith("error")), 0)
        words = "\n".join(self.words[first:]) or f"it ended with status {self.status} and said nothing"
        kind = UnsolvableError if self.status == _UNSOLVABLE else BuildError
        raise kind(f"{what}:\n{words}{advice_on(self.words[first:])}")


def run_uv(arguments: Sequence[str], *, folder: Path, guard: int, log: Log) -> ProcessResult:
    """Runs uv in `folder`; see `stream` for the rest."""
    return stream([_program(), *arguments], folder=folder, guard=guard, log=log)


def stream(command: Sequence[str], *, folder: Path, guard: int, log: Log) -> ProcessResult:
    """Runs a program to its end, each line of its standard error to `log` at once.

    The program inherits the descriptor `guard`: the lock on what it builds stays taken until it has ended,
    even if this process is killed before. Any exception here ends the program with all that it started.
    """
    words: list[str] = []
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
                words.append(line.rstrip())
                log(line.rstrip())
            status = process.wait()
        except BaseException:
            _end(process)
            raise
    return ProcessResult(status, tuple(words))


def _end(process: "subprocess.Popen[str]") -> None:
    """Ends the program's whole session; its leader is not waited for yet, so its number is still its own."""
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
        raise BuildError(
            "uv is missing, which resolves and installs environments; `pip install uv` brings it"
        ) from None


def _variables() -> dict[str, str]:
    """This process's variables, without what would point uv at another environment; the index settings stay."""
    elsewhere = {"VIRTUAL_ENV", "CONDA_PREFIX", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_SYSTEM_PYTHON"}
    kept = {name: value for name, value in os.environ.items() if name not in elsewhere}
    return {**kept, "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1", "NO_COLOR": "1"}
