"""docs/architecture.md names files that exist, and the floors that the layers test holds."""

import re
from pathlib import Path

from tests.project.test_layers import FLOORS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
PATHS = re.findall(r"`((?:amlcore|tests|benchmarks|conf|examples)\b[\w./-]*)`", PAGE)


def test_each_path_exists() -> None:
    assert len(PATHS) > 50
    assert [path for path in PATHS if not (ROOT / path).exists()] == []


def test_the_floors_are_those_of_the_layers_test() -> None:
    table = re.findall(r"^\| \d+ \| (.+?) \|", PAGE, flags=re.MULTILINE)

    rooms = [{Path(path).stem for path in re.findall(r"`amlcore/([\w.]+)`", row)} for row in table]
    assert rooms == [set(rooms) for rooms in FLOORS[1:]]
