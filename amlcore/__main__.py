"""`aml` and `python -m amlcore`."""

import os
import sys

INTERRUPTED = 130


def main() -> None:
    """Call the command line with streams that can be written, whatever the shell has closed."""
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  as long as the process lives
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    try:
        from amlcore.cli import main as cli

        status = cli(sys.argv[1:])
    except KeyboardInterrupt:
        status = INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    main()
