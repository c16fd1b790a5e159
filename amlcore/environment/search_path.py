"""Lists of folders in a variable, which are split at a letter that may stand in a folder's name."""

import os
from itertools import combinations

from amlcore.errors import RequestError


def check_search_path(name: str, value: str) -> None:
    """Refuse a list of folders that is split within the name of one of them."""
    entries = value.split(os.pathsep)
    if not name.endswith("PATH") or len(entries) < 2:
        return
    for first, last in combinations(range(len(entries) + 1), 2):
        whole = os.pathsep.join(entries[first:last])
        parts = entries[first:last]
        if len(parts) > 1 and os.path.exists(whole) and not all(os.path.exists(part) for part in parts if part):
            raise RequestError(
                f"script.environment_variables.{name}: names {whole}, and is split at '{os.pathsep}', which stands in "
                f"that name; use a folder without '{os.pathsep}' in its path"
            )
