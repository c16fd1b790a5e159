"""A new version of a model: prepared in a folder next to the others, and claimed by renaming that folder."""

import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from amlcore.environment.temporary_folder import OWNER, is_owner_gone
from amlcore.errors import ModelError
from amlcore.model.folders import PREPARED, next_version
from amlcore.model.removal import finish_all_removals
from amlcore.record.ownership import open_tree_to_group
from amlcore.worker import durable
from amlcore.worker.files import make_folder, write_json
from amlcore.worker.process_identity import identity

MAX_PREPARING_S = 86400.0  # an older folder was left by a registration that was killed


@contextmanager
def prepared_folder(models: Path) -> Iterator[Path]:
    """A folder next to the versions in which to prepare one; removed afterwards unless it became one."""
    folder = models / f"{PREPARED}{uuid.uuid4().hex[:12]}"
    try:
        make_folder(models)
        folder.mkdir()
        write_json(str(folder / OWNER), identity())
        finish_all_removals(models.parent)
        for leftover in models.parent.glob(f"*/{PREPARED}*"):  # by registrations that were killed, of any model
            with suppress(OSError):
                if is_owner_gone(leftover / OWNER) or time.time() - leftover.stat().st_mtime > MAX_PREPARING_S:
                    shutil.rmtree(leftover, ignore_errors=True)
    except OSError as error:
        raise ModelError(f"models are registered in {models}, which cannot be written: {error.strerror}") from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def claim_version(folder: Path, record: dict[str, Any]) -> Path:
    """Make the prepared folder the next version; whoever renames first gets the number, the others try the next one."""
    (folder / OWNER).unlink(missing_ok=True)
    while True:
        version = next_version(folder.parent)
        about = folder / "model.json"
        write_json(str(about), {"name": record["name"], "version": version, **record})
        about.chmod(0o444)
        open_tree_to_group(folder)
        durable.sync_tree(folder)
        try:
            target = folder.rename(folder.parent / str(version))
            durable.sync_parents(target, folder.parent.parent.parent)
            return target
        except OSError:
            if not (folder.parent / str(version)).exists():
                raise
