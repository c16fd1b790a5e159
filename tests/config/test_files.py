"""Files of conf/: each takes effect, or is refused with a message that names it."""

from __future__ import annotations

import json
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import hydra
import pytest
from hydra._internal.sources_registry import SourcesRegistry
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amlcore.config import Search, compose, compose_search
from amlcore.errors import ConfigError
from tests.support.aml import Write

HEADER = "# @package _global_"
TREES = "script:\n  arguments: {trees: 7}\n"


@pytest.fixture
def root(project: Path, write: Write) -> Path:
    write("train.py", "")
    for name, arguments in {"a": "{trees: 300}", "b": "{trees: 300, gamma: 5}"}.items():
        text = f"defaults: [/schema/script@_here_, _self_]\nscript: train.py\narguments: {arguments}\n"
        write(f"conf/script/{name}.yaml", text)
    write("conf/config.yaml", "defaults: [base, _self_, experiment: null, override script: a]\n")
    return project


def refusal(root: Path, *overrides: str, config_name: str = "config") -> str:
    with pytest.raises(ConfigError) as caught:
        compose(list(overrides), root=root, config_name=config_name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


ABOVE = st.lists(st.sampled_from(["# a comment", "", "---", "   ", "# " + "x" * 600, "#"]), max_size=5)
HEADERS = st.sampled_from(
    [HEADER, "#@package _global_", "# @package: _global_", " #  @package  _global_ ", f"{HEADER} # why"]
)


@given(mark=st.sampled_from(["", "\ufeff"]), above=ABOVE, header=HEADERS, end=st.sampled_from(["\n", "\r\n"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_header_above_the_keys_counts_wherever_it_stands(
    mark: str, above: list[str], header: str, end: str, root: Path
) -> None:
    lines = [line for number, line in enumerate(above) if line != "---" or "---" not in above[:number]]
    file = root / "conf/experiment/night.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes((mark + end.join([*lines, header, TREES])).encode())

    assert compose(["experiment=night"], root=root).script.arguments == {"trees": 7}


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        (TREES, ["conf/experiment/night.yaml", HEADER, "script"]),
        (f"# @packge _global_\n{TREES}", ["conf/experiment/night.yaml", HEADER]),
        (f"# @package _group_\n{TREES}", ["conf/experiment/night.yaml", HEADER]),
        (f"# @package _GLOBAL_\n{TREES}", ["conf/experiment/night.yaml", HEADER]),
        (f"# @package global\n{TREES}", ["conf/experiment/night.yaml", HEADER]),
        ("defaults:\n  - override /compute: slurm\n", ["conf/experiment/night.yaml", HEADER]),
        (f"{TREES}{HEADER}\n", ["conf/experiment/night.yaml:3", "above the first key"]),
        (f"# @package\n{TREES}", ["conf/experiment/night.yaml:1", "must name one package"]),
        (f"# @package _global_ script\n{TREES}", ["conf/experiment/night.yaml:1", "must name one package"]),
        (f"{HEADER}\n# @package script\n{TREES}", ["conf/experiment/night.yaml:2", "must name one package"]),
        (f"{HEADER}\n{TREES}---\n{TREES}", ["conf/experiment/night.yaml:4", "another document"]),
        (f"{HEADER}\nhydra: {{sweeper: {{params: {{script.arguments.trees: '1,2'}}}}}}\n", ["hydra.sweeper.params"]),
        (f"{HEADER}\nhydra: {{job: {{env_set: {{A: b}}}}}}\n", ["hydra.job.env_set", "script.environment_variables"]),
        (f"{HEADER}\nhydra: {{run: {{dir: mine}}}}\n", ["hydra.run.dir=mine", "outputs/EXPERIMENT/RUN"]),
    ],
)
def test_an_experiment_that_would_not_count_is_refused(text: str, parts: list[str], root: Path, write: Write) -> None:
    write("conf/experiment/night.yaml", text)

    message = refusal(root, "experiment=night")

    for part in parts:
        assert part in message


def test_jobs_are_composed_in_several_threads_at_once(root: Path) -> None:
    compose([], root=root)
    before = (SourcesRegistry.instance().types["file"], list(warnings.filters))

    with ThreadPoolExecutor(6) as threads:
        trees = list(threads.map(lambda number: compose([f"script.arguments.trees={number}"], root=root), range(12)))

    assert [job.script.arguments for job in trees] == [{"trees": number} for number in range(12)]
    assert (SourcesRegistry.instance().types["file"], list(warnings.filters)) == before


def test_choices_of_an_experiment_go_with_it(root: Path, write: Write) -> None:
    write("conf/config.yaml", "defaults: [base, _self_, experiment: night, override script: a]\n")
    write("conf/experiment/night.yaml", f"{HEADER}\ndefaults: [override /script: b]\n")
    assert compose([], root=root).script.arguments == {"trees": 300, "gamma": 5}

    for removed in ("~experiment", "~experiment=night"):
        assert compose([removed], root=root).script.arguments == {"trees": 300}, removed


def test_yml_is_as_good_as_yaml_for_any_file_of_conf(root: Path, write: Write) -> None:
    (root / "conf/config.yaml").rename(root / "conf/config.yml")
    (root / "conf/script/a.yaml").rename(root / "conf/script/a.yml")
    write("conf/compute/local.yml", "defaults: [/schema/compute/local@_here_, _self_]\nslots: 3\n")
    write("conf/experiment/night.yml", f"{HEADER}\n{TREES}")

    job = compose(["experiment=night"], root=root)

    assert (job.script.arguments, job.compute.slots) == ({"trees": 7}, 3)  # type: ignore[attr-defined]
    write("conf/compute/local.yml", "defaults: [/schema/compute/local@_here_, _self_]\n\nslotz: 3\n")
    assert "(conf/compute/local.yml:3)" in refusal(root)


@pytest.mark.parametrize(
    ("path", "parts"),
    [
        ("conf/script/a.yml", ["conf/script/a.yml", "a.yaml is there too"]),
        ("conf/config.YAML", ["conf/config.YAML", "rename it to config.yaml"]),
        ("conf/experiment/deep/night.Yml", ["conf/experiment/deep/night.Yml", "rename it to night.yml"]),
        ("conf/compute/local.yaml/x", ["conf/compute/local.yaml", "a folder"]),
    ],
)
def test_a_file_that_would_be_passed_over_is_refused(path: str, parts: list[str], root: Path, write: Write) -> None:
    write(path, "")

    message = refusal(root)

    for part in parts:
        assert part in message


def test_a_link_that_leads_nowhere_is_refused_and_other_peoples_files_are_let_be(root: Path, write: Write) -> None:
    write("conf/nginx/Site.YAML", "")
    write("conf/.hidden.YML", "")
    assert compose([], root=root).script.arguments == {"trees": 300}

    (root / "conf/script/c.yaml").symlink_to("gone.yaml")

    assert "conf/script/c.yaml" in refusal(root)


@pytest.mark.parametrize("path", ["conf/experiment/night.json", "conf/experiment/night", "conf/experiments/night.yaml"])
def test_an_option_that_is_not_there_names_the_file_that_was_perhaps_meant(path: str, root: Path, write: Write) -> None:
    write(path, f"{HEADER}\n{TREES}")

    message = refusal(root, "experiment=night")

    assert path in message
    assert "conf/experiment/NAME.yaml" in message


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("defaults: [base, _self_]\n\ncompute:\n  slotz: 3\n", ["compute.slotz:", "(conf/night.yaml:4)"]),
        ("defaults: [base, _self_]\n\ncompute:\n  slots: two\n", ["compute.slots=two", "(conf/night.yaml:4)"]),
        ("defaults:\n  - base\n  - _self_\n  - override compute: lokal\n", ["compute=lokal (conf/night.yaml:4)"]),
        ("defaults: [base, _self_, override script: a, experiment: null]\n", ["conf/night.yaml: Override 'script"]),
        ("defaults: [base, _self_]\nexperiment: night\n", ["experiment: night (conf/night.yaml)", "experiment=NAME"]),
        ("defaults: [sub/base, _self_]\n", ["conf/night.yaml: its defaults list names 'sub/base'", "use /base"]),
        pytest.param(
            "defaults: [base]\ncompute: {slots: 2}\n",
            ["conf/night.yaml: its defaults list has no `_self_`"],
            marks=pytest.mark.skipif(not hydra.__version__.startswith("1.3"), reason="later a key counts by itself"),
        ),
        ("- base\n", ["conf/night.yaml: must be a mapping"]),
    ],
)
def test_a_mistake_under_config_name_names_the_file_that_was_read(
    text: str, parts: list[str], root: Path, write: Write
) -> None:
    write("conf/night.yaml", text)

    message = refusal(root, config_name="night")

    for part in parts:
        assert part in message
    assert "conf/config.yaml" not in message
    write("conf/night.yaml", "defaults: [base, _self_]\n")
    assert "conf/night.yaml leaves this group out" in refusal(root, "experiment=iris", config_name="night")
    assert "--config-name nigth: there is no conf/nigth.yaml; did you mean 'night'" in refusal(
        root, config_name="nigth"
    )


def test_choices_of_an_experiment_count_however_it_is_selected(root: Path, write: Write) -> None:
    write("conf/experiment/inner.yaml", f"{HEADER}\ndefaults:\n  - override /script: b\nexperiment_name: x\n")
    write("conf/experiment/outer.yaml", f"{HEADER}\ndefaults: [inner, _self_]\n")
    write("conf/fixed.yaml", "defaults: [base, _self_, experiment: outer, override script: a]\n")
    write("conf/without.yaml", "defaults: [base, _self_, override script: a]\n")

    for overrides, config_name in (
        (["experiment=inner"], "config"),
        (["experiment=outer"], "config"),
        (["experiment=[inner,outer]"], "config"),
        ([], "fixed"),
        (["+experiment=outer"], "without"),
    ):
        job = compose(overrides, root=root, config_name=config_name)
        assert (job.script.arguments, job.experiment_name) == ({"trees": 300, "gamma": 5}, "x")


def test_groups_and_keys_may_depend_on_each_other(root: Path, write: Write) -> None:
    """A group with a condition keeps the option of the config if the condition does not hold."""
    write(
        "conf/sweep/mine.yaml",
        "defaults: [grid, _self_]\n"
        "search_space:\n"
        "  script: [a, b]\n"
        "  script.arguments.trees: [1, 2]\n"
        "  script.arguments.gamma: {values: [3], when: {script: b}}\n"
        "  +script.arguments.extra: {values: [x], when: {script: a, script.arguments.trees: 2}}\n"
        "  environment: {values: [current], when: {script.arguments.trees: 1}}\n"
        "  compute: {values: [slurm], when: {script: b}}\n",
    )

    composed = compose_search(["sweep=mine"], root=root)

    assert composed is not None
    for search in (composed, Search.from_json(json.loads(json.dumps(composed.to_json())))):
        jobs = [search.trial(values)[0] for values in search.space.grid()]
        assert [(job.script.arguments, job.environment.name, job.compute.kind) for job in jobs] == [
            ({"trees": 1}, "current", "local"),
            ({"trees": 2, "extra": "x"}, "sklearn", "local"),
            ({"trees": 1, "gamma": 3}, "current", "slurm"),
            ({"trees": 2, "gamma": 3}, "sklearn", "slurm"),
        ]


def test_null_is_refused_for_a_text_and_the_word_is_taken(root: Path, write: Write) -> None:
    key = "script.environment_variables.MODE"
    message = refusal(root, f"+{key}=null")
    parts = (key, "must not be null", "'null'", "on the command line")
    assert [part for part in parts if part not in message] == []
    assert compose([f"+{key}='null'"], root=root).script.environment_variables == {"MODE": "null"}


@pytest.mark.parametrize(
    ("name", "text", "place", "instead"),
    [
        ("config", "defaults: [base, _self_, {script: b}]\n", "conf/config.yaml:1:", "override script: b"),
        (
            "experiment/e",
            f"{HEADER}\ndefaults:\n  - /compute: slurm\n",
            "conf/experiment/e.yaml:3:",
            "override /compute: slurm",
        ),
    ],
)
def test_an_option_that_is_chosen_twice_is_named_with_its_line(
    name: str, text: str, place: str, instead: str, root: Path, write: Write
) -> None:
    write(f"conf/{name}.yaml", text)
    message = refusal(root, *([] if name == "config" else ["experiment=e"]))

    assert message.startswith(place)
    assert f"`{instead}`" in message
