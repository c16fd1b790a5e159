"""Secrets: references are resolved only in the worker, and the values of secret variables are never written."""

from __future__ import annotations

import json
import os
import re
import shlex
import stat
from importlib import metadata
from pathlib import Path
from urllib.parse import quote

import pytest
import yaml

from amlcore import Workspace
from amlcore.config import Job, Search, compose, compose_search, quote_value
from amlcore.config.grammar.scalars import _is_text, _leaves
from amlcore.config.secrets import NOT_RESOLVED, REFERENCE_KEYS, RESOLVED
from amlcore.errors import AmlcoreError, ConfigError, RequestError
from amlcore.script.run_config import ScriptRunConfig
from amlcore.snapshot.listing import list_source
from amlcore.worker.references import missing, resolved
from tests.support.aml import Aml, Write

CANARY = "canary-7f3a'\"${x}-ü"
PORT = "canary-port-5432"
TELL = """
import os, sys
from amlcore import Run
assert os.environ["TOKEN"] == os.environ["KEPT_TOKEN"], sys.argv
url, port = "db://me:" + os.environ["KEPT_TOKEN"] + "@host/db", os.environ["KEPT_PORT"]
assert sys.argv[1:] == ["--url", url, "--port", port], sys.argv
Run.get_context().log("m", 1.0)
open("outputs/model.joblib", "w").write("x")
"""
REFERENCES = (
    "+script.environment_variables.TOKEN=${oc.env:KEPT_TOKEN}",
    "+script.arguments.url='db://me:${oc.env:KEPT_TOKEN}@${oc.env:NO_HOST,host}/db'",
    "+script.arguments.port='${oc.env:KEPT_PORT}'",
)
KEPT = {"KEPT_TOKEN": CANARY, "KEPT_PORT": PORT}


def written(root: Path) -> list[Path]:
    """The files below `root` that hold a canary."""
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert len(files) > 10
    texts = [text.encode() for text in ("canary-7f3a", "canary-port")]
    return [path for path in files if any(text in path.read_bytes() for text in texts)]


def test_a_reference_is_resolved_in_the_worker_and_stays_one_in_every_file(
    aml: Aml, write: Write, project: Path
) -> None:
    write("source/tell.py", TELL)
    write("source/.env", f"TOKEN={CANARY}\n")
    write("source/.env.local", f"TOKEN={CANARY}\n")
    write("source/.env.example", "TOKEN=\n")
    run = ("run", "source/tell.py", "environment=current", "model=none", "deployment=none")
    result = aml(*run, *REFERENCES, env=KEPT)
    assert "note: .env is not in the snapshot" in result.err
    aml(*run, "-m", *REFERENCES, "compute.cores=1,2", "sweep.primary_metric=m", "sweep.plots=false", env=KEPT)
    aml("rerun", aml("runs", "--json").json[-1]["id"], env={**KEPT, "KEPT_TOKEN": "another"})
    (project / "source/.env").unlink()
    (project / "source/.env.local").unlink()

    assert written(project) == []
    shown = aml("show", "latest", "--json").json
    assert shown["parameters"] == {
        "url": "db://me:${oc.env:KEPT_TOKEN}@${oc.env:NO_HOST,host}/db",
        "port": "${oc.env:KEPT_PORT}",
    }
    config = Path(shown["folder"], "config.yaml").read_text()
    assert Job.from_yaml(config).script.environment_variables == {"TOKEN": "${oc.env:KEPT_TOKEN}"}
    assert stat.S_IMODE(os.stat(Path(shown["folder"], "request.json")).st_mode) == 0o600


def test_a_run_whose_modules_lie_by_a_reference_is_registered_where_it_is_set(aml: Aml, write: Write) -> None:
    write("tell.py", "open('outputs/model.joblib', 'w').write('x')")
    override = "+script.environment_variables.PYTHONPATH='${oc.env:KEPT_PATH}'"
    aml("run", "tell.py", "environment=current", override, env={"KEPT_PATH": "lib"})
    register = ("register", "latest", "--name", "m", "--path", "outputs/model.joblib")

    result = aml(*register, status=1)
    assert "was given PYTHONPATH=${oc.env:KEPT_PATH}, and KEPT_PATH is not set here" in result.err
    assert "KEPT_PATH" not in aml(*register, env={"KEPT_PATH": "lib"}, status=2).err  # this model cannot be read


def test_a_variable_that_is_not_set_is_named_before_anything_starts(aml: Aml, write: Write, project: Path) -> None:
    write("tell.py", TELL)
    result = aml("run", "tell.py", "environment=current", REFERENCES[0], status=2)

    assert "script.environment_variables.TOKEN: ${oc.env:KEPT_TOKEN}" in result.err
    assert "KEPT_TOKEN is not set" in result.err
    assert not (project / "outputs").exists()
    swept = ("run", "-m", "tell.py", "environment=current", "+script.arguments.a=x,'${oc.env:KEPT_TOKEN}'")
    assert "script.arguments.a: ${oc.env:KEPT_TOKEN}" in aml(*swept, status=2).err
    job = compose(["script=script", "+script.arguments.a=${oc.env:NO,b}"], root=project)
    assert job.script.command_line() == ["--a", "${oc.env:NO,b}"]


IS_HYDRA_1_3 = metadata.version("hydra-core").startswith("1.3")
UNSET = "the environment variable NOT_SET is not set here; set it, or give a default: ${oc.env:NOT_SET,default}"
UNRESOLVED = UNSET if IS_HYDRA_1_3 else "${oc.env:NOT_SET}: here a reference must name another group"
WHERE_ELSE = "use ${oc.env:NAME} for an environment variable, ${KEY} for another key"


@pytest.mark.parametrize("is_typed", [True, False])
@pytest.mark.parametrize("key", ["experiment_name", "compute.slots", "model.name", "workspace.snapshot_max_mb"])
@pytest.mark.parametrize(
    "value", ["${oc.env:NOT_SET}", "${oc.env:HOME}/${oc.env:NOT_SET}", "${oc.env:A,${oc.env:NOT_SET}}"]
)
def test_a_reference_to_a_variable_that_is_not_set_is_one_message(
    value: str, key: str, is_typed: bool, project: Path, write: Write
) -> None:
    write("t.py", "")
    group, _, name = key.rpartition(".")
    keys = {group: {name: value}} if group else {name: value}
    write("conf/config.yaml", yaml.safe_dump({"defaults": ["base", "_self_"], **({} if is_typed else keys)}))
    overrides = ["script=script", "script.script=t.py", *([f"{key}='{value}'"] if is_typed else [])]
    place = f"on the command line: {overrides[-1]}" if is_typed else "conf/config.yaml:"

    with pytest.raises(ConfigError) as caught:
        compose(overrides, root=project)
    assert str(caught.value).startswith(f"{key}: {UNSET} ({place}")
    with pytest.raises(ConfigError) as caught:
        compose_search(["+script.arguments.a=1,2", *overrides], root=project)
    assert str(caught.value).startswith(f"{key}: {UNSET} ({place}")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("compute=${oc.env:NOT_SET}", f"compute: {UNRESOLVED} (on the command line: compute=${{oc.env:NOT_SET}})"),
        ("experiment_name=${oc.evn:A}", "experiment_name: ${oc.evn:…}: no such resolver; did you mean 'oc.env'?"),
        ("+script.arguments.a=${nope:A}", "script.arguments.a: ${nope:…}: no such resolver; available: input, oc."),
        ("experiment_name=${comptue.cores}", "experiment_name: ${comptue.cores}: no such key; did you mean 'compute.c"),
        ("experiment_name=${compute.croes}", "experiment_name: ${compute.croes}: no such key; did you mean 'cores'?"),
        ("experiment_name=${oc.env}", f"experiment_name: ${{oc.env}}: no such key; {WHERE_ELSE}"),
        ("experiment_name=${oc.env:A,B,C}", "experiment_name: cannot resolve the reference (env() takes"),
        ("experiment_name=${experiment_name}", f"experiment_name: refers to itself; {WHERE_ELSE}"),
        ("experiment_name=${compute}", "experiment_name: ${compute} is a group of keys, not a value"),
        ("experiment_name='${oc.env:A'", f"experiment_name: a ${{ has no }} that closes it; {WHERE_ELSE}"),
    ],
)
def test_a_reference_that_cannot_be_resolved_is_one_message(override: str, message: str, project: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["script=script", "script.script=t.py", override], root=project)
    assert str(caught.value).startswith(message)


def test_a_reference_inside_another_is_quoted_as_one(project: Path) -> None:
    with pytest.raises(ConfigError, match="in quotes of its own") as caught:
        compose(["experiment_name=${oc.env:${oc.env:A}}"], root=project)
    assert shlex.split(str(caught.value).rpartition(": ")[2]) == ["experiment_name='${oc.env:${oc.env:A}}'"]


def test_an_argument_with_a_variable_that_is_not_set_is_named(aml: Aml, write: Write) -> None:
    write("t.py", "")
    for override in ("+script.arguments.a=${oc.env:NOT_SET}", "+script.arguments.a=[x,'${oc.env:NOT_SET}']"):
        result = aml("run", "t.py", "environment=current", override, status=2)
        assert f"script.arguments.a: ${{oc.env:NOT_SET}}: {UNSET}" in result.err


@pytest.fixture
def secret(project: Path, write: Write, monkeypatch: pytest.MonkeyPatch) -> Path:
    write("conf/workspace/team.yaml", "defaults: [local, _self_]\nsecrets: [TOKEN, PIN]\n")
    write("conf/config.yaml", "defaults: [base, _self_, experiment: null, override workspace: team]\n")
    write("train.py", "")
    monkeypatch.setenv("TOKEN", CANARY)
    monkeypatch.setenv("PIN", "007")
    return project


@pytest.mark.parametrize(
    ("override", "key"),
    [
        (f"+script.environment_variables.OTHER={quote_value(CANARY)}", "OTHER"),
        (f"+script.environment_variables.OTHER={quote_value(json.dumps(CANARY))}", "OTHER"),
        (f"+script.arguments.url={quote_value(quote(CANARY, safe=''))}", "script.arguments.url"),
        ("+script.environment_variables.TOKEN=abc", "script.environment_variables.TOKEN"),
        ("+script.arguments.pin=007", "script.arguments.pin"),
        ("model.description=${oc.env:TOKEN}", "model.description"),
        ("+model.tags.t='it is ${oc.env:TOKEN}'", "model.tags.t"),
        ("environment.packages=['x @ https://${oc.env:TOKEN}@host/x.whl']", "environment.packages"),
        ("+script.arguments.x=${oc.decode:${oc.env:TOKEN}}", "script.arguments.x"),
    ],
)
def test_the_value_of_a_secret_gets_into_no_job(override: str, key: str, secret: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["script=script", "script.script=train.py", override], root=secret)
    assert key in str(caught.value)
    assert "canary" not in str(caught.value).replace(override, "")


@pytest.mark.parametrize(
    "values",
    ["a,SECRET,b", "SECRET,a", "'x SECRET y',a", "tag(SECRET,interval(0,1))", "tag(SECRET,choice(a,b))"],
)
@pytest.mark.parametrize("key", ["+script.arguments.a", "+script.environment_variables.A", "model.description"])
def test_a_secret_in_an_override_of_a_multirun_is_refused(
    key: str, values: str, project: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag too: no trial has it, but the record keeps the overrides as they were typed."""
    monkeypatch.setenv("TOKEN", "canary-7f3a")
    write("t.py", "")
    write("conf/config.yaml", "defaults: [base, _self_]\nworkspace: {secrets: [TOKEN]}\n")
    override = f"{key}={values.replace('SECRET', 'canary-7f3a')}"

    with pytest.raises(ConfigError, match=f"{re.escape(key.lstrip('+'))}: holds the value of TOKEN, a secret"):
        compose_search(["script.script=t.py", "sweep=random", override], root=project)


def test_a_secret_is_refused_among_the_values_of_a_sweep_and_in_python(secret: Path) -> None:
    with pytest.raises(ConfigError, match=r"script\.arguments\.pin"):
        compose_search(["script=script", "script.script=train.py", "+script.arguments.pin=1,007"], root=secret)
    from amlcore import Environment, Experiment

    workspace = Workspace.from_config(str(secret))
    config = ScriptRunConfig(str(secret), "train.py", arguments=["--token", CANARY])
    config.environment = Environment("here", user_managed_dependencies=True)
    with pytest.raises(ConfigError, match=r"script\.arguments: holds the value of TOKEN"):
        Experiment(workspace, "e").submit(config)
    assert workspace.redacted(f"failed for {CANARY}") == "failed for ${oc.env:TOKEN}"


TEXTS = {".".join(path) for path, kind in _leaves(Job, ()) if _is_text(kind)}
GROUPS = ["sweep=random", "sweep/early_termination=patient", "deployment=bento", "model=sklearn", "compute=slurm"]
NEEDED = [*RESOLVED[:-1], "compute.partition", "compute.account", "compute.qos", "compute.constraint"]


@pytest.mark.parametrize("key", sorted(TEXTS - {"compute.kind", "environment.chosen"}))
def test_a_reference_in_a_text_is_kept_refused_or_the_value_of_a_path(
    key: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "canary7f3a")
    kind = dict(_leaves(Job, ()))[tuple(key.split("."))]
    reference = "${oc.env:TOKEN}"
    override = f"+{key}.n={reference}" if "dict" in kind else f"{key}=[{reference}]" if "list" in kind else ""
    override = override or f"++{key}={reference}"
    try:
        record = compose([*GROUPS, "model.name=m", "script.script=t.py", override], root=project).to_yaml()
    except AmlcoreError as error:
        record = str(error)
        assert key in record

    assert ("canary" in record) == any(key.startswith(one) for one in NEEDED)


@pytest.mark.parametrize(
    "key",
    [
        *("experiment_name", "script.module", "script.script", "script.source_directory", "environment.file"),
        *("model.name", "model.path", "model.sample_input", "deployment.name", "deployment.base_image"),
    ],
)
def test_a_name_or_path_takes_a_reference_but_not_to_a_secret(
    key: str, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGISTRY", "here")
    monkeypatch.setenv("PIN", "canary7f3a")
    script = [] if key in ("script.module", "script.script") else ["script.script=train.py"]
    group, _, name = key.rpartition(".")

    def value(reference: str) -> str:
        job = compose([*GROUPS, "model.name=m", *script, f"++{key}='{reference}'"], root=secret)
        return str(getattr(getattr(job, group) if group else job, name))

    assert value("a-${oc.env:REGISTRY}-x").removeprefix(f"{secret}/") == "a-here-x"
    assert value("${oc.env:NOT_SET,b}").removeprefix(f"{secret}/") == "b"
    with pytest.raises(ConfigError, match="NOT_SET"):
        value("${oc.env:NOT_SET}")
    with pytest.raises(ConfigError, match=f"{key}: holds the value of PIN, a secret"):
        value("${oc.env:PIN}")


def test_a_refused_reference_says_where_it_stays_one_and_where_it_is_resolved(secret: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        compose(["model.description=${oc.env:HOME}"], root=secret)
    for key in (*REFERENCE_KEYS, *RESOLVED, *NOT_RESOLVED):
        assert key in str(caught.value)


@pytest.mark.parametrize(
    ("text", "argument"),
    [
        ("${ oc.env:TOKEN }", "${oc.env:TOKEN }"),
        ("a ${oc.env :TOKEN}", "a ${oc.env:TOKEN}"),
        (r"\${oc.env:TOKEN}", "${oc.env:TOKEN}"),
        ("${oc.env:TOKEN,${oc.env:OTHER}}", None),
        ("${oc.env:TOKEN,${script.script}}", None),
        ("${oc.decode:${oc.env:TOKEN}}", None),
    ],
)
def test_each_form_of_a_reference_is_kept_or_refused(
    text: str, argument: str | None, write: Write, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "canary7f3a")
    script = {"defaults": ["/schema/script@_here_", "_self_"], "script": "t.py", "arguments": {"a": text}}
    write("conf/script/s.yaml", yaml.safe_dump(script))

    if argument is None:
        with pytest.raises(ConfigError, match=r"script\.arguments\.a: .*recorded with its value"):
            compose(["script=s"], root=project)
    else:
        assert compose(["script=s"], root=project).script.arguments == {"a": argument}


def test_references_in_a_search_space_are_kept_or_refused(
    write: Write, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "canary7f3a")
    space = "defaults: [random, _self_]\nsearch_space: {%s: ['${oc.env:TOKEN}', b]}\n"
    script = ["script=script", "script.script=t.py", "environment=current"]
    write("t.py", "")
    write("conf/sweep/args.yaml", space % "+script.arguments.a")

    search = compose_search([*script, "sweep=args"], root=project)
    assert isinstance(search, Search)
    assert search.trial({"script.arguments.a": "${oc.env:TOKEN}"})[0].script.arguments == {"a": "${oc.env:TOKEN}"}
    assert "canary" not in str(search.to_json())
    with pytest.raises(ConfigError, match=r"compute\.account=\$\{oc\.env:TOKEN\}: only"):
        compose_search([*script, "compute=slurm", "compute.account='${oc.env:TOKEN}',b"], root=project)


def test_a_secret_with_the_end_of_a_line_is_found_without_it(secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIN", "hunter22\n")
    with pytest.raises(ConfigError, match=r"script\.arguments\.a: holds the value of PIN"):
        compose(["script=script", "script.script=train.py", "+script.arguments.a=hunter22"], root=secret)


@pytest.mark.parametrize(("pin", "argument"), [("12345678", "12345678"), ("-0.5", "-0.5"), ("true!", "'true!'")])
def test_a_secret_that_a_file_writes_as_a_number_is_found(
    pin: str, argument: str, secret: Path, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIN", pin)
    text = "defaults: [/schema/script@_here_, _self_]\nscript: train.py\narguments: {code: %s, on: true, depth: 3}\n"
    write("conf/script/s.yaml", text % argument)

    with pytest.raises(ConfigError, match=r"script\.arguments\.code: holds the value of PIN"):
        compose(["script=s"], root=secret)
    assert compose(["script=s", "script.arguments.code=1"], root=secret).script.arguments == {
        "code": 1,
        "on": True,
        "depth": 3,
    }


def test_references_are_read_as_omegaconf_reads_them() -> None:
    variables = {"A": "1", "B": "${oc.env:A}"}

    assert resolved("${oc.env:A}-${oc.env:NO,'x y'}-${oc.env:B}", variables) == "1-x y-${oc.env:A}"
    assert missing("${oc.env:NO} ${oc.env:A} ${oc.env:NO,null}", variables) == ["NO", "NO"]
    with pytest.raises(LookupError, match="NO is not set"):
        resolved("${oc.env:NO}", variables)
    assert resolved("${input:rows} $A {oc.env:A}", variables) == "${input:rows} $A {oc.env:A}"
    script = ScriptRunConfig(environment_variables={"T": "${oc.env:NO_SUCH_VARIABLE}"}, script=Path(__file__).name)
    script.source_directory = str(Path(__file__).parent)
    with pytest.raises(RequestError, match="NO_SUCH_VARIABLE is not set"):
        script.check()


def test_a_file_of_secrets_comes_back_by_a_line_in_amlignore(tmp_path: Path) -> None:
    for name in (".env", ".env.prod", ".envrc", ".env.example", "a.env", "inner/.env"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")

    assert [file.path for file in list_source(tmp_path).files] == [".env.example", "a.env"]
    (tmp_path / ".amlignore").write_text("!.env\n")
    assert {".env", "inner/.env"} <= {file.path for file in list_source(tmp_path).files}
