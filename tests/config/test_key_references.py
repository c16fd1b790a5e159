"""References of keys to other keys in a sweep, as Hydra resolves them: anew for each trial."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from amlcore.config import Job, Search, compose, compose_search
from amlcore.errors import ConfigError
from tests.support.aml import Aml, Write

SCRIPT = ("script=script", "script.script=t.py")


def search(root: Path, *overrides: str) -> Search:
    composed = compose_search([*SCRIPT, *overrides], root=root)
    assert isinstance(composed, Search)
    return composed


def jobs(found: Search, key: str, *values: object) -> list[Job]:
    return [found.trial({key: value})[0] for value in values]


def test_a_reference_follows_the_key_that_varies(project: Path) -> None:
    composed = search(
        project,
        "compute.cores=1,2",
        "+script.arguments.jobs=${compute.cores}",
        r'+script.arguments.label="x-${.jobs}-${compute.slots}-\${jobs}"',
        '+script.environment_variables.OMP_NUM_THREADS="${script.arguments.jobs}"',
        "+script.arguments.deep=${oc.select:compute.cores,7}",
    )
    for read in (composed, Search.from_json(composed.to_json())):
        for cores, job in enumerate(jobs(read, "compute.cores", 1, 2), start=1):
            assert job.compute.cores == cores
            assert job.script.arguments == {"jobs": cores, "label": f"x-{cores}-1-${{jobs}}", "deep": cores}
            assert job.script.environment_variables == {"OMP_NUM_THREADS": str(cores)}
        assert read.is_same(composed)


def test_a_trial_is_what_its_own_overrides_compose(project: Path) -> None:
    composed = search(project, "+script.arguments.a=1,2", "+script.arguments.b=${script.arguments.a}")
    job, overrides = composed.trial({"script.arguments.a": 2})
    typed = [override.replace("script.arguments.a=", "+script.arguments.a=") for override in overrides]
    assert compose(typed, root=project).to_value()["script"] == job.to_value()["script"]


def test_references_in_files_follow_too(project: Path, write: Write) -> None:
    write("a.csv", "1")
    script = {
        "defaults": ["/schema/script@_here_", "_self_"],
        "script": "t.py",
        "arguments": ["--data", "${input:rows}", "--seed", "${script.environment_variables.SEED}"],
        "inputs": {"rows": {"path": "${script.environment_variables.NAME}.csv"}},
        "environment_variables": {"SEED": "0", "NAME": "a"},
    }
    write("conf/script/s.yaml", yaml.safe_dump(script))
    composed = compose_search(["script=s", "script.environment_variables.NAME=a,b"], root=project)
    assert isinstance(composed, Search)
    first, second = jobs(composed, "script.environment_variables.NAME", "a", "b")
    assert [job.script.inputs["rows"].path for job in (first, second)] == [
        str(project / "a.csv"),
        str(project / "b.csv"),
    ]
    composed = compose_search(["script=s", "script.environment_variables.SEED=1,2"], root=project)
    assert isinstance(composed, Search)
    (job,) = jobs(composed, "script.environment_variables.SEED", "2")
    assert job.script.arguments == ["--data", "${input:rows}", "--seed", "2"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["+script.arguments.a=1,2", 'model.name="m-${script.arguments.a}"'],
            "model.name: m-${script.arguments.a} ref",
        ),
        (["+script.arguments.a=1,2", "experiment_name=${script.arguments.a}"], "experiment_name: ${script.arguments."),
        (["environment.python=3.11,3.12", "model.name=${environment.python}"], "model.name: ${environment.python} ref"),
        (["compute.cores=1,2", "compute.slots=${compute.cores}"], "compute.slots: ${compute.cores} refers to compute."),
        (["script=script,train_iris", 'model.name="m-${script.script}"'], "model.name: m-${script.script} refers to s"),
        (
            ["script.script=t.py,u.py", "environment=script"],
            "environment.file: ${oc.select:script.source_directory,.}/",
        ),
        (["+script.arguments.a=t.py,u.py", "script.script=${script.arguments.a}"], "script.script: ${script.argument"),
        (
            ["+script.arguments.a=1,${compute.cores}"],
            "+script.arguments.a=1,${compute.cores}: ${compute.cores} would n",
        ),
        (["+script.arguments.a=1,${nope.b}"], "+script.arguments.a=1,${nope.b}: ${nope.b} would not be resolved"),
        (["+script.arguments.a=[1],[2,'${nope}']"], "+script.arguments.a=[1],[2,'${nope}']: [2, '${nope}'] would not"),
        (["compute.cores=1,${nope.b}"], "compute.cores=1,${nope.b}: ${nope.b} would not be resolved"),
        (["environment.packages=[a],['${oc.env:HOME}']"], "environment.packages=['${oc.env:HOME}']: only the script's"),
    ],
)
def test_what_cannot_follow_is_one_message(overrides: list[str], message: str, project: Path, write: Write) -> None:
    write("t.py", "")
    write("u.py", "")
    with pytest.raises(ConfigError) as caught:
        search(project, *overrides)
    assert str(caught.value).startswith(message)


def test_a_reference_follows_a_key_that_other_keys_depend_on(project: Path, write: Write) -> None:
    write(
        "conf/sweep/s.yaml",
        "defaults: [grid, _self_]\nsearch_space:\n  script.arguments.kernel: [linear, poly]\n"
        "  +script.arguments.degree: {values: [2, 3], when: {script.arguments.kernel: poly}}\n",
    )
    with pytest.raises(ConfigError, match=r"script\.arguments\.d: .*no such key"):  # only some trials have it
        search(project, "sweep=s", "+script.arguments.d=${script.arguments.degree}")
    composed = search(project, "sweep=s", "+script.arguments.kernel=rbf", "+script.arguments.k=${.kernel}")
    job, _ = composed.trial({"script.arguments.kernel": "linear"})
    assert job.script.arguments == {"k": "linear", "kernel": "linear"}


def test_each_script_gets_the_value_of_its_own_trial(aml: Aml, write: Write) -> None:
    write(
        "t.py",
        "import sys\nfrom amlcore import Run\nassert sys.argv[2] == sys.argv[4], sys.argv\n"
        "Run.get_context().log('m', int(sys.argv[4]))\n",
    )
    words = ("+script.arguments.a=1,2", "+script.arguments.b=${script.arguments.a}", "sweep.primary_metric=m")
    aml("run", "-m", "t.py", "environment=current", *words, "sweep.plots=false")
    trials = [run for run in aml("runs", "--children", "--json").json if "a" in run["parameters"]]
    assert {(str(run["parameters"]["a"]), run["metrics"]["m"]) for run in trials} == {("1", 1.0), ("2", 2.0)}


SHAPES = [
    ("script.inputs", "[a]", "must be a mapping"),
    ("script.inputs", "3", "must be a mapping"),
    ("script.environment_variables", "[a]", "must be a mapping"),
    ("model.tags", "x", "must be a mapping"),
    ("environment.packages", "{a: 1}", "must be a list"),
    ("environment.packages", "x", "must be a list"),
    ("workspace.secrets", "{a: 1}", "must be a list"),
    ("model.resource_configuration", "[a]", "must be a mapping of its keys (cpu"),
    ("model.resource_configuration", "3", "must be a mapping of its keys (cpu"),
    ("experiment_name", "[a]", "must be one text, not a list"),
    ("model.description", "{a: 1}", "must be one text, not a mapping"),
]


@pytest.mark.parametrize(("key", "value", "message"), SHAPES)
def test_a_list_in_place_of_a_mapping_and_the_like_is_one_message(
    key: str, value: str, message: str, project: Path, write: Write
) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([*SCRIPT, f"{key}={value}"], root=project)
    assert str(caught.value).startswith(f"{key}: {message}")
    assert str(caught.value).endswith(f"(on the command line: {key}={value})")

    *groups, name = key.split(".")
    lines = [f"{group}:" for group in groups] + [f"{'  ' * len(groups)}{name}: {value}"]
    write("conf/config.yaml", "\n".join(["defaults: [base, _self_]", *lines, ""]))
    with pytest.raises(ConfigError) as caught:
        compose(list(SCRIPT), root=project)
    assert str(caught.value).startswith(f"{key}: {message}")
    assert str(caught.value).endswith(f"(conf/config.yaml:{1 + len(lines)})")


@pytest.mark.parametrize("override", ["compute=[a]", "sweep=[1]", "model=[a,b]"])
def test_a_list_of_options_is_one_message(override: str, project: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compose([*SCRIPT, override], root=project)
    assert str(caught.value) == f"{override}: {override.partition('=')[0]} takes one option, not a list"


def test_a_group_that_is_a_list_in_a_file_is_one_message(project: Path, write: Write) -> None:
    write("conf/config.yaml", "defaults: [base, _self_]\nscript: [a]\n")
    with pytest.raises(ConfigError) as caught:
        compose(list(SCRIPT), root=project)
    assert str(caught.value).startswith("script: must be a mapping of its keys (source_directory, script,")
    assert str(caught.value).endswith("(conf/config.yaml)")
