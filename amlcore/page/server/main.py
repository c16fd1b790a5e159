"""The page's server: `python -I main.py WORKSPACE PORT`, which `aml ui` becomes.

It is started by its path, since the interpreter that has MLflow need not have amlcore.
"""

import importlib.util
import sys
from pathlib import Path


def main(workspace: str, port: str) -> int:
    """Serve the page until interrupted."""
    make_amlcore_importable()
    from amlcore.page.server.no_database import leave_out_database

    leave_out_database()
    from amlcore.page.server.application import serve

    return serve(Path(workspace), int(port))


def make_amlcore_importable() -> None:
    """Load the amlcore that this file belongs to, and nothing else of the folder that it is installed in."""
    package = Path(__file__).resolve().parents[2]
    spec = importlib.util.spec_from_file_location(
        "amlcore", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    assert spec is not None
    assert spec.loader is not None
    sys.modules["amlcore"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
