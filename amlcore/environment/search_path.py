"""Search paths such as PYTHONPATH, whose separator may be part of a folder's name."""

import os
from itertools import combinations

from amlcore.errors import RequestError


def check_search_path(name: str, value: str) -> None:
    """Refuse a search path that would be split inside the name of a folder."""
    entries = value.split(os.pathsep)
    if not name.endswith("PATH") or len(entries) < 2:
        return
    absent = [bool(entry) and not os.path.exists(entry) for entry in entries]
    for first, last in combinations(range(len(entries) + 1), 2):
        whole = os.pathsep.join(entries[first:last])
        if last - first > 1 and any(absent[first:last]) and os.path.exists(whole):
            raise RequestError(
                f"script.environment_variables.{name}: would be split inside {whole} because "
                f"'{os.pathsep}' separates folders; use a folder without '{os.pathsep}' in its path"
            )
