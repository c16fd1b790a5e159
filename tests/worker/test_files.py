"""Files of a record are written whole or not at all."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from amlcore.worker.files import append_line

LIMITED = """
import resource, signal, sys
from amlcore.worker.files import append_line
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    append_line(sys.argv[1], {"value": "x" * 50})
except OSError:
    print("refused")
"""


@pytest.mark.parametrize("lines", [[], [{"value": 1}], [{"value": 1}, {"value": 2}]])
@pytest.mark.parametrize("room", [0, 1, 30])
def test_a_line_that_does_not_fit_leaves_no_trace(lines: list[object], room: int, tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    for line in lines:
        append_line(str(path), line)
    size = path.stat().st_size if lines else 0

    command = [sys.executable, "-c", LIMITED, path, str(size + room)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout == "refused\n", done.stderr
    assert path.exists() == bool(lines)
    assert [json.loads(line) for line in (path.read_text().splitlines() if lines else [])] == lines
