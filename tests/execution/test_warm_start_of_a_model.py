"""A warm start that names a model learns from the sweep that the model is from."""

from __future__ import annotations

from pathlib import Path

import pytest

from amlcore.config import Search, compose_search
from amlcore.errors import NotFoundError
from amlcore.execution.past_sweeps import with_full_ids
from amlcore.model.aliases import set_alias
from tests.support.model_records import add_version
from tests.support.run_records import write_run


def _search(root: Path, reference: str) -> Search:
    words = ["script.script=train.py", "environment=current", "sweep=tpe", "sweep.primary_metric=score"]
    words += ["+script.arguments.x=interval(0,1)", f"sweep.warm_start=[{reference}]"]
    search = compose_search(words, root=root)
    assert search is not None
    return search


def test_a_model_means_the_sweep_that_it_is_from(project: Path) -> None:
    (project / "train.py").write_text("")
    sweep = write_run(project, 1, sweep=True).name
    trial = write_run(project, 2, name=f"{sweep}_1", parent=sweep).name
    add_version(project, run=trial)
    add_version(project)
    set_alias(project / "models", "wine", "champion", 1)

    assert with_full_ids(_search(project, "wine@champion")).sweep.warm_start == [sweep]
    assert with_full_ids(_search(project, "wine:1")).sweep.warm_start == [sweep]
    with pytest.raises(NotFoundError, match=r"sweep.warm_start=\[wine:2\]: model wine:2 was registered from a file"):
        with_full_ids(_search(project, "wine:2"))
    with pytest.raises(NotFoundError, match="model 'wine' has no alias 'best'"):
        with_full_ids(_search(project, "wine@best"))
