"""`aml` and `python -m amlcore`."""

import os
import signal
import sys

INTERRUPTED = 130  # as in record/status.py; nothing of amlcore may be imported at the top of this file


def leave_working_folder() -> None:
    """Import nothing from the working folder: a statistics.py there is not the standard library's.

    `python -m` puts it first on the path, and so does an empty or relative entry of PYTHONPATH.
    """
    home = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
    try:
        here = os.getcwd()
    except FileNotFoundError:  # removed, so that no entry can lead there
        return
    entries = os.environ.get("PYTHONPATH")
    relative = (
        {os.path.abspath(entry) for entry in entries.split(os.pathsep) if not os.path.isabs(entry)}
        if entries
        else set()
    )
    if not sys.flags.safe_path and __name__ == "__main__" and sys.path[:1] == [here] and here != home:
        del sys.path[0]
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) not in relative - {home}]


def main() -> None:
    """Call the command line with streams that can be written to, whatever the shell has closed."""
    leave_working_folder()
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  open for as long as the process lives
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        from amlcore.cli.main import main as cli

        status = cli(sys.argv[1:])
    except KeyboardInterrupt:
        status = INTERRUPTED
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: an interruption from now on must not change the status
    sys.exit(status)


if __name__ == "__main__":
    main()
