"""Composition: valid input becomes a Job, and each mistake gets one message."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amlcore.config import Job, compose, quote_value
from amlcore.config.composition import environment_options
from amlcore.errors import ConfigError, RequestError
from amlcore.script.run_config import ScriptRunConfig
from amlcore.worker.run_names import is_experiment
from amlcore.workspace import Workspace
from tests.support.aml import Write
from tests.support.configs import SHIPPED

GROUPS = ("workspace", "environment", "compute", "script", "model", "sweep", "deployment", "experiment")


@pytest.mark.parametrize(
    "choice",
    [f"{group}={path.stem}" for group in GROUPS for path in sorted((SHIPPED / group).glob("[!_]*.yaml"))],
)
def test_every_shipped_option_composes_and_survives_its_record(choice: str, project: Path) -> None:
    overrides = ["script=train_iris", choice] if not choice.startswith(("script=", "experiment=")) else [choice]
    overrides += {"model=sklearn": ["model.name=iris"], "environment=file": ["environment.file=r.txt"]}.get(choice, [])

    job = compose(overrides, root=project)

    assert Job.from_yaml(job.to_yaml()).to_yaml() == job.to_yaml()


@pytest.mark.parametrize(
    "override",
    [f"{group}={path.stem}" for group in GROUPS for path in sorted((SHIPPED / group).glob("[!_]*.yaml"))],
)
def test_every_shipped_option_says_how_it_is_used(override: str) -> None:
    group, name = override.split("=")
    first_lines = (SHIPPED / group / f"{name}.yaml").read_text().splitlines()[:2]

    assert any(line.startswith("#") and "aml run" in line for line in first_lines)


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (
            ["compute.slot=3"],
            [
                "compute.slot:",
                "did you mean 'slots'? Available: cores, kill_wait_s, kind, mem_gb, slots, timeout_min, warm",
            ],
        ),
        (["+compute.partition=x"], ["compute.partition:", "no such key", "slots", "+compute.partition=x"]),
        (["++compute.slot=3"], ["compute.slot:", "did you mean 'slots'"]),
        (["environment.chosen=x"], ["environment.chosen:", "no such key", "on the command line: environment.chosen=x"]),
        (["++script.argument.a=3"], ["script.argument:", "did you mean 'arguments'"]),
        (["+colour=red"], ["colour:", "no such key", "compute"]),
        (["compute.slots=two"], ["compute.slots=two", "a whole number", "on the command line"]),
        (["+compute.slots=3"], ["compute.slots", "exists already", "without the +"]),
        (["model=sklearn"], ["model.name is not set"]),
        (["compute.slots=0"], ["compute.slots=0", "at least 1", "on the command line"]),
        (["compute.timeout_min=-1"], ["compute.timeout_min=-1", "a positive number"]),
        (["compute.kind=slurm"], ["compute.kind=slurm", "compute=slurm"]),
        (["workspace.snapshot_max_mb=nan"], ["workspace.snapshot_max_mb=nan", "greater than 0"]),
        (["workspace.snapshot_max_mb=-3"], ["workspace.snapshot_max_mb=-3", "greater than 0"]),
        (["compute=locall"], ["compute=locall", "did you mean 'local'", "on the command line"]),
        (["comput=local"], ["comput", "did you mean 'compute'"]),
        (["experiment=irs"], ["experiment=irs", "did you mean 'iris'"]),
        (["deployment.workers=2"], ["deployment.workers=2", "deployment=bento"]),
        (["compute.slots=1,2"], ["compute.slots=1,2", "several values"]),
        (["compute.slots=[1"], ["'compute.slots=[1'", "cannot be read"]),
        (["experiment_name=${nope}"], ["experiment_name: ${nope}: no such key", "experiment_name=${nope}"]),
        (["compute.slots=???"], ["compute.slots is not set"]),
        (
            ["script=train_iris", "script.arguments.kernal=rbf"],
            ["script.arguments.kernal", "+script.arguments.kernal=VALUE"],
        ),
        (["model.description=it's"], ["model.description=it's", "put 'it's' in quotes of its own"]),
        (["+script.arguments.a=é,b"], ["put 'é' in quotes of its own", "+script.arguments.a=\"'é',b\""]),
        (["+script.arguments.a=b,~"], ["put '~' in quotes of its own", "+script.arguments.a=\"b,'~'\""]),
        (["+script.arguments.a=[a=b,c]"], ["put 'a=b' in quotes of its own", "+script.arguments.a=\"['a=b',c]\""]),
        (["+script.arguments.a=choice(a,ü)"], ["put 'ü' in quotes of its own", "choice(a,'ü')"]),
        (["+script.arguments.a=1,,2"], ["an item between two commas is missing"]),
        (["modle.name=x"], ["modle.name:", "did you mean 'model.name'?"]),
        (["scrpit.arguments.a=x"], ["did you mean 'script.arguments.a'?"]),
        (["script.enviroment_variables.A=x"], ["did you mean 'script.environment_variables.A'?"]),
        (["environment.packages=pandas"], ["environment.packages: must be a list", "on the command line"]),
        (["script.argumnts.c=1"], ["script.argumnts.c", "did you mean 'script.arguments.c'"]),
        (["script.inputs={data: d.csv}"], ["script.inputs.data", "+script.inputs.data=VALUE"]),
        (["+script.inputs.data=[3]"], ["script.inputs.data=['3']", "{path: …, mode: in_place|copy}"]),
        (["+script.inputs.data={path: a, mode: link}"], ["'link'", "copy", "in_place"]),
        (["script.arguments=7"], ["script.arguments=7", "mapping"]),
        (["experiment=null"], ["experiment=null: null is not an option", "iris"]),
        (["+script.arguments.a={b: 1}"], ["script.arguments.a", "number"]),
    ],
)
def test_a_mistake_on_the_command_line_is_one_message(overrides: list[str], parts: list[str], project: Path) -> None:
    with pytest.raises(RequestError) as caught:
        compose(overrides, root=project)

    assert parts
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("yaml", "parts"),
    [
        ("slotz: 3\n", ["compute.slotz", "conf/compute/mine.yaml:4", "did you mean 'slots'"]),
        ("\ncores: many\n", ["compute.cores=many", "conf/compute/mine.yaml:5"]),
        ("\n\ncores: 0\n", ["compute.cores=0", "at least 1", "conf/compute/mine.yaml:6"]),
        ("cores: [1\n", ["conf/compute/mine.yaml:5", "not YAML"]),
        ("slots: ${nowhere}\n", ["nowhere"]),
    ],
)
def test_a_mistake_in_a_file_names_its_line(yaml: str, parts: list[str], project: Path, write: Write) -> None:
    write("conf/compute/mine.yaml", f"defaults:\n  - local\n  - _self_\n{yaml}")

    with pytest.raises(ConfigError) as caught:
        compose(["compute=mine"], root=project)

    assert parts
    assert [part for part in parts if part not in str(caught.value)] == [], str(caught.value)


def test_an_option_without_a_type_is_told_how_to_get_one(project: Path, write: Write) -> None:
    write("conf/compute/mine.yaml", "slots: 3\n")

    with pytest.raises(ConfigError, match="defaults: \\[local, _self_\\]"):
        compose(["compute=mine"], root=project)


@pytest.mark.parametrize(
    ("path", "text", "part"),
    [
        ("conf/config.yaml", "", "defaults: [base, _self_, experiment: null]"),
        ("conf/config.yaml", "defaults: base\n", "conf"),
        ("conf/config.yaml", "defaults: [config]\n", "conf"),
        ("conf/config.yaml", "defaults: [base, _self_]\nscript: 3\n", "conf"),
        ("conf/config.yaml", "a: &x [*x]\n", "conf"),
        ("conf/config.yaml", "defaults:\n\t- base\n", "not YAML"),
        ("conf/compute/mine.yaml", "defaults: [mine]\n", "conf"),
    ],
)
def test_a_strange_file_is_one_message(path: str, text: str, part: str, project: Path, write: Write) -> None:
    write(path, text)

    with pytest.raises(ConfigError) as caught:
        compose(["script=train_iris", *(["compute=mine"] if "mine" in path else [])], root=project)

    assert part in str(caught.value)
    assert len(str(caught.value)) < 500


def test_a_file_that_is_no_utf_8_is_one_message(project: Path, write: Write) -> None:
    write("conf/compute/mine.yaml", "").write_bytes(b"defaults: [local, _self_]\n# \xff\n")

    with pytest.raises(ConfigError, match=r"^conf/compute/mine\.yaml:2: this is not valid UTF-8$"):
        compose(["compute=mine"], root=project)


def test_a_config_without_the_base_is_told_so_by_any_run(project: Path, write: Write) -> None:
    write("conf/config.yaml", "")

    with pytest.raises(ConfigError, match=r"leaves this group out; begin it with `defaults: \[base, _self_"):
        compose([], root=project)


@pytest.mark.parametrize("script", ["_x.py", "sp ace.py", "ünï.py", "-d.py", "тест.py", f"{'x' * 200}.py"])
def test_a_script_of_any_name_has_an_experiment(script: str) -> None:
    job = compose([f"script.script={quote_value(script)}"], root=Path.cwd())

    assert is_experiment(job.name)


def test_a_project_extends_and_overrides_the_shipped_groups(project: Path, write: Write) -> None:
    write("conf/compute/big.yaml", "defaults:\n  - local\n  - _self_\nslots: 8\n")
    write("conf/script/train_iris.yaml", "defaults:\n  - /schema/script@_here_\n  - _self_\nscript: mine.py\n")
    write("conf/config.yaml", "defaults:\n  - base\n  - override compute: big\n  - _self_\nexperiment_name: mine\n")

    job = compose(["script=train_iris"], root=project)

    assert (job.compute.slots, job.script.script, job.experiment_name) == (8, "mine.py", "mine")


def test_a_project_shadows_no_file_that_the_shipped_options_share_and_hides_none_of_its_own(
    project: Path, write: Write
) -> None:
    for name in ("common", "_common", "_limits", "_base"):
        write(f"conf/sweep/{name}.yaml", "seed: 3\n")
    write("conf/environment/_mine.yaml", "defaults: [current, _self_]\n")
    (project / "conf/__pycache__").mkdir()

    for name in ("grid", "tpe", "random", "sobol"):
        job = compose(["script=train_iris", f"sweep={name}"], root=project)
        assert job.sweep is not None
        assert (job.sweep.seed, job.sweep.goal) == (None, "maximize")
    assert "_mine" in environment_options(Workspace(root=str(project)))
    with pytest.raises(ConfigError) as caught:
        compose(["nope=1"], root=project)
    assert "__pycache__" not in str(caught.value)
    with pytest.raises(ConfigError) as caught:
        compose(["sweep=nope"], root=project)
    assert "_common, _limits" in str(caught.value)
    assert "_amlcore_common" not in str(caught.value)


def test_a_file_of_requirements_replaces_the_curated_ones(project: Path) -> None:
    job = compose(["environment.file=requirements.txt"], root=project)

    assert (job.environment.name, job.environment.packages) == ("file", [])


def test_a_name_of_the_workspaces_table_means_its_option(project: Path) -> None:
    assert compose(["environment=AzureML-Tutorial"], root=project).environment.name == "sklearn"


def test_paths_start_at_the_root(project: Path) -> None:
    job = compose(["script.source_directory=src", "+script.inputs.data=d.csv"], root=project)

    assert job.script.source_directory == str(project / "src")
    assert job.script.inputs["data"].path == str(project / "d.csv")


def test_composing_leaves_no_folder_and_the_command_line_as_they_were(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.chdir(project)
    before, argv = sorted(project.rglob("*")), list(sys.argv)

    compose([], root=project)

    assert (sorted(project.rglob("*")), sys.argv) == (before, argv)


@pytest.mark.parametrize("reference", ["${input:data}", "${input:my data}/a.csv", "${input:a,b}", "${input:}"])
def test_a_reference_to_an_input_stays_as_it_is_written(reference: str, project: Path, write: Write) -> None:
    write(
        "conf/script/mine.yaml",
        f"defaults:\n  - /schema/script@_here_\n  - _self_\nscript: a.py\narguments:\n  data: {reference}\n",
    )

    job = compose(["script=mine", f"+script.arguments.again={reference}"], root=project)

    assert job.script.arguments == {"data": reference, "again": reference}
    assert Job.from_yaml(job.to_yaml()).script.arguments == job.script.arguments


@pytest.mark.parametrize(
    ("arguments", "command_line"),
    [
        ({"kernel": "rbf", "penalty": 1.5}, ["--kernel", "rbf", "--penalty", "1.5"]),
        ({"verbose": True, "quiet": False, "seed": None}, ["--verbose"]),
        ({"layers": [10, 20]}, ["--layers", "10", "20"]),
        ({"-C": 1}, ["-C", "1"]),
        (["--kernel", "rbf", 3], ["--kernel", "rbf", "3"]),
        (None, []),
    ],
)
def test_arguments_become_a_command_line(arguments: object, command_line: list[str]) -> None:
    assert ScriptRunConfig(script="a.py", arguments=arguments).command_line() == command_line


def test_python_values_become_plain_values() -> None:
    config = ScriptRunConfig(
        Path("src"),
        Path("a.py"),
        ["--C", np.float64(0.1), np.int64(3), np.bool_(True), np.str_("x"), Path("d.csv")],
        inputs={"data": Path("d.csv"), "more": {"path": Path("e.csv"), "mode": "copy"}},
        environment_variables={"N": 1},
    )
    by_name = ScriptRunConfig(arguments={"a": np.arange(2), "b": np.float64(0.1)}, inputs=None)

    assert yaml.safe_load(yaml.safe_dump(asdict(config))) == {
        "source_directory": "src",
        "script": "a.py",
        "module": None,
        "mlflow": True,
        "arguments": ["--C", 0.1, 3, True, "x", "d.csv"],
        "inputs": {"data": {"path": "d.csv", "mode": "in_place"}, "more": {"path": "e.csv", "mode": "copy"}},
        "environment_variables": {"N": "1"},
        "environment": None,
        "compute_target": None,
    }
    assert yaml.safe_load(yaml.safe_dump(by_name.arguments)) == {"a": [0, 1], "b": 0.1}


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"script": 3}, "script.script=3: must be a path"),
        ({"source_directory": ["a"]}, "script.source_directory=['a']: must be a path"),
        ({"inputs": "data.csv"}, "script.inputs='data.csv': must be a mapping"),
        ({"inputs": {"x": {"path": None}}}, "script.inputs=None: must be a path"),
        ({"inputs": {3: "x"}}, "script.inputs.3"),
        ({"arguments": ["a\0"]}, "script.arguments: 'a\\x00': a command line cannot hold a NUL"),
        ({"environment_variables": ["A=1"]}, "script.environment_variables=['A=1']: must be a mapping"),
        ({"environment_variables": {"A=B": "x"}}, "script.environment_variables: 'A=B'"),
        ({"environment_variables": {"": "x"}}, "script.environment_variables: ''"),
        ({"environment_variables": {"A\0": "x"}}, "script.environment_variables: 'A\\x00'"),
        ({"environment_variables": {"A": "x\0"}}, "script.environment_variables.A='x\\x00'"),
        ({"environment_variables": {"A": None}}, "script.environment_variables.A=None"),
    ],
)
def test_arguments_that_no_process_can_receive_are_refused(fields: dict[str, Any], part: str) -> None:
    with pytest.raises(ConfigError) as caught:
        ScriptRunConfig(**fields)

    assert part in str(caught.value)


def test_arguments_of_a_list_are_known_by_name() -> None:
    config = ScriptRunConfig(script="a.py", arguments=["in.csv", "--kernel", "rbf", "--fast", "--alpha=0.1"])

    assert config.parameters == {"args": ["in.csv"], "kernel": "rbf", "fast": True, "alpha": "0.1"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(
    text=st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=20)
    | st.sampled_from(["\\", "\\'", "'\\\\'", "${a}", "\\${a}", "a=b,c", "[1]", "", "???", "????"])
)
def test_any_text_passes_through_the_command_line(text: str, project: Path) -> None:
    job = compose(["script.arguments=null", f"script.arguments=[{quote_value(text)}]"], root=project)

    assert job.script.arguments == [text]
    assert Job.from_yaml(job.to_yaml()).script.arguments == [text]
