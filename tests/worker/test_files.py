"""Files of a record are written whole or not at all."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from amlcore.worker.files import append_line
from amlcore.worker.objects import object_path

LIMITED = """
import resource, signal, sys
from amlcore.worker.files import append_line
from amlcore.worker.objects import object_path
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    append_line(sys.argv[1], {"value": "x" * 50}, alone=True)
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


COPIED = """
import resource, signal, sys
from amlcore.worker.objects import copy_object
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000,) * 2)
try:
    copy_object(sys.argv[1], sys.argv[2], sys.argv[3], name="train.py")
except OSError:
    print("refused")
"""


def test_a_copy_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    data = b"x" * 5000
    sha256 = hashlib.sha256(data).hexdigest()
    stored = Path(object_path(tmp_path, sha256))
    stored.parent.mkdir()
    stored.write_bytes(data)

    command = [sys.executable, "-c", COPIED, tmp_path, sha256, tmp_path / "copy"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.stdout == "refused\n", done.stderr
