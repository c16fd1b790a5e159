"""The requirements of an environment, read from each kind of file; no network."""

import contextlib
import re
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from amlcore.environment import Environment, Specification
from amlcore.environment.interpreter import PythonRequest
from amlcore.errors import EnvironmentSpecError

CONF = Path(__file__).parents[2] / "conf" / "environment"
ARTICLE = """\
name: sklearn-training-env
dependencies:
  - python=3.6.2
  - scikit-learn
  - numpy
  - pip:
    - azureml-defaults
"""


def specify(root: Path, name: str, text: str, **fields) -> Specification:
    (root / name).write_text(text)
    return Environment("e", file=name, **fields).specify(root)


def refusal(root: Path, name: str, text: str) -> str:
    with pytest.raises(EnvironmentSpecError) as caught:
        specify(root, name, text)
    return str(caught.value)


def curated(name: str) -> dict:
    return yaml.safe_load((CONF / f"{name}.yaml").read_text())


def test_requirements_with_nested_files(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "base.txt").write_text("joblib>=1\n-c limits.txt\n")
    (tmp_path / "more" / "limits.txt").write_text("numpy<2\n")
    text = "# what we need\nscikit-learn==1.2.2  # pinned\nnumpy \\\n  >=1.20\n\n-r more/base.txt\n"
    specification = specify(tmp_path, "requirements.txt", text)
    assert specification.requirements == ("scikit-learn==1.2.2", "numpy >=1.20", "joblib>=1")
    assert specification.constraints == ("numpy<2",)


@pytest.mark.parametrize(
    ("text", "requirements", "options"),
    [
        ("-r 'more/of ours.txt'\n", ("joblib",), ()),
        ('--requirement="more/of ours.txt"\n', ("joblib",), ()),
        ("-r more/of\\ ours.txt\n", ("joblib",), ()),
        ("-r more/of ours.txt\n", ("joblib",), ()),  # which pip does not take
        ("\ufeff-r 'more/of ours.txt'\r\nsix\r\n", ("joblib", "six"), ()),
        (
            "-i 'https://a/simple' --extra-index-url=https://b/simple --pre\nsix\n",
            ("six",),
            ("--index-url https://a/simple", "--extra-index-url https://b/simple", "--pre"),
        ),
        ("--no-binary :all: --only-binary=six\nsix\n", ("six",), ("--no-binary :all:", "--only-binary six")),
        ("--pre -r 'more/of ours.txt'\n", ("joblib",), ("--pre",)),
        ("six@https://a/six-1.17.0.whl\n", ("six@https://a/six-1.17.0.whl",), ()),
    ],
)
def test_a_line_of_options_is_read_as_pip_reads_it(tmp_path, text, requirements, options):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "of ours.txt").write_text("joblib\n")
    specification = specify(tmp_path, "requirements.txt", text)
    assert (specification.requirements, specification.options) == (requirements, options)


def test_requirements_from_powershell(tmp_path):
    (tmp_path / "requirements.txt").write_bytes("six==1.17.0\r\n".encode("utf-16"))
    assert Environment("e", file="requirements.txt").specify(tmp_path).requirements == ("six==1.17.0",)


def test_packages_add_to_the_file(tmp_path):
    specification = specify(tmp_path, "requirements.in", "six\n", packages=["joblib==1.4.2"])
    assert specification.requirements == ("six", "joblib==1.4.2")


def test_amlcore_stands_in_for_azureml(tmp_path):
    specification = specify(tmp_path, "requirements.txt", "six\nAzureML_Core==1.0\nazureml-mlflow\n")
    assert specification.requirements == ("six",)
    assert [note.split(" is ")[0] for note in specification.notes] == [
        "azureml-core (requirements.txt:2)",
        "azureml-mlflow (requirements.txt:3)",
    ]


def test_index_options_go_to_the_build_alone(tmp_path):
    specification = specify(
        tmp_path, "requirements.txt", "--extra-index-url https://example.org/simple\n-f wheels\n--pre\nsix\n"
    )
    assert specification.options == (
        "--extra-index-url https://example.org/simple",
        f"--find-links {tmp_path / 'wheels'}",
        "--pre",
    )
    assert "example.org" not in " ".join(specification.notes)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("six\nnump y\n", "requirements.txt:2: 'nump y' is not a requirement"),
        ("six\n\n-e .\n", "requirements.txt:3: '-e .' is a path on this machine"),
        ("./lib/x.whl\n", "requirements.txt:1: './lib/x.whl' is a path on this machine"),
        (
            "mine @ file:///opt/mine\n",
            "requirements.txt:1: 'mine @ file:///opt/mine' refers to a file on the machine that",
        ),
        ("numpy=1.26.4=py311_0\n", "requirements.txt:1: 'numpy=1.26.4=py311_0' is in conda's format"),
        ("hg+https://example.org/mine\n", "requirements.txt:1: 'hg+https://example.org/mine' is an address that"),
        ("-e svn+ssh://example.org/mine#egg=mine\n", "requirements.txt:1: '"),
        ("mine @ git@example.org:us/mine.git\n", "requirements.txt:1: 'mine @ git@example.org:us/mine.git' is an ad"),
        ("mine-1.0.tgz\n", "requirements.txt:1: 'mine-1.0.tgz' is a path on this machine"),
        ("mine-1.0.tar.xz\n", "requirements.txt:1: 'mine-1.0.tar.xz' is a path on this machine"),
        ("C:\\wheels\\mine.whl\n", "requirements.txt:1: 'C:\\wheels\\mine.whl' is a path on this machine"),
        ("-r gone.txt\n", "requirements.txt:1: the file 'gone.txt' does not exist"),
        ("-r requirements.txt\n", "requirements.txt: the file includes itself"),
        (
            "--no-build-isolation-package six\n",
            "requirements.txt:1: '--no-build-isolation-package six': unknown option",
        ),
        ("-r 'more\n", "requirements.txt:1: '-r 'more': no closing quotation"),
        ("six --global-option=x\n", "requirements.txt:1: 'six --global-option=x' has the option --global-option"),
        ("--wrong 1\n", "requirements.txt:1: '--wrong 1': unknown option '--wrong'; available: "),
    ],
)
def test_bad_requirements(tmp_path, text, expected):
    assert refusal(tmp_path, "requirements.txt", text).startswith(expected)


def test_a_line_that_is_not_a_requirement_shows_one_that_is(tmp_path):
    assert refusal(tmp_path, "requirements.txt", "nump y\n").endswith("; use a form such as 'scikit-learn==1.7.2'")


def test_bad_line_of_a_nested_file(tmp_path):
    (tmp_path / "base.txt").write_text("six\n==1\n")
    assert refusal(tmp_path, "requirements.txt", "-r base.txt\n").startswith("base.txt:2: '==1' is not a requirement")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("gone.txt", "gone.txt: no such file"),
        ("env.json", "environment.file=env.json: must be one of: requirements .txt"),
    ],
)
def test_file_that_cannot_be_read(tmp_path, file, expected):
    with pytest.raises(EnvironmentSpecError, match=re.escape(expected)):
        Environment("e", file=file).specify(tmp_path)


def test_article(tmp_path):
    specification = specify(tmp_path, "env.yml", ARTICLE)
    assert specification.requirements == ("scikit-learn", "numpy")
    assert specification.python is not None
    assert (specification.python.text, specification.python.where, specification.python.specifier) == (
        "python=3.6.2",
        "env.yml:3",
        "==3.6.2",
    )


def test_python_of_the_environment_goes_before_the_file(tmp_path):
    specification = specify(tmp_path, "env.yml", ARTICLE, python="3.11")
    assert specification.python is not None
    assert specification.python.specifier == "==3.11.*"
    assert "python 3.11 (environment.python) overrides python=3.6.2 (env.yml:3)" in specification.notes


@pytest.mark.parametrize(
    ("dependency", "requirement"),
    [
        ("numpy", "numpy"),
        ("numpy=1.23", "numpy==1.23.*"),
        ("numpy=1.23.*", "numpy==1.23.*"),
        ("numpy==1.23.5", "numpy==1.23.5"),
        ("numpy=1.23.5=py311h_0", "numpy==1.23.5"),
        ("pytz=2022.7=pyhd8ed1ab_0", "pytz==2022.7"),  # and not 2022.7.1
        ("conda-forge/linux-64::numpy=1.23=*", "numpy==1.23"),
        ("numpy=1.23.*=*", "numpy==1.23.*"),
        ("numpy 1.23.5 py311h_0", "numpy==1.23.5"),
        ("numpy >=1.20,<2", "numpy>=1.20,<2"),
        ("numpy[version='>=1.20']", "numpy>=1.20"),
        ("numpy>=1.20.*,<2.*", "numpy>=1.20,<2"),
        ("conda-forge::numpy>=1.20", "numpy>=1.20"),
        ("pytorch=2.1", "torch==2.1.*"),
        ("py-xgboost", "xgboost"),
        ("opencv", "opencv-python"),
        ("pip", "pip"),
        ("setuptools<60", "setuptools<60"),
        ("joblib=1.5rc1", "joblib==1.5rc1"),
    ],
)
def test_conda_dependency(tmp_path, dependency, requirement):
    assert specify(tmp_path, "env.yaml", f'dependencies: ["{dependency}"]\n').requirements == (requirement,)


@pytest.mark.parametrize(
    ("wish", "specifier", "fallback"),
    [
        ("python=3.9", "==3.9.*", None),
        ("python==3.9", "==3.9.*", None),
        ("python=3.9.*", "==3.9.*", None),
        ("python=3.6.2=h02fb82a_12", "==3.6.2", "==3.6.*"),
        ("python>=3.8,<3.12", ">=3.8,<3.12", None),
        ("python>=3.*", ">=3", None),
    ],
)
def test_conda_python(tmp_path, wish, specifier, fallback):
    request = specify(tmp_path, "env.yaml", f'dependencies: ["{wish}"]\n').python
    assert request is not None
    assert (request.specifier, request.fallback) == (specifier, fallback)


@pytest.mark.parametrize(
    ("wish", "can"), [("3.8", False), ("3.8.20", False), ("3.9", True), ("3.11.4", True), ("3", True)]
)
def test_a_python_that_can_be_a_supported_one(wish, can):
    assert PythonRequest.version(wish, text=wish, where="here").can_be(">=3.9") is can


def test_conda_names_every_package_that_is_not_pythons(tmp_path):
    text = "dependencies:\n- numpy\n- cudatoolkit=11.3\n- r-ggplot2\n- openssl=1.1.1\n- mkl\n"
    message = refusal(tmp_path, "env.yml", text)
    assert "  env.yml:3: cudatoolkit=11.3\n  env.yml:4: r-ggplot2\n  env.yml:6: mkl\n" in message
    assert "openssl" not in message


def test_an_export_of_conda_holds_its_python_packages_alone(tmp_path):
    lines = [
        "_libgcc_mutex=0.1=conda_forge",
        "blas=1.0=mkl",
        "brotli-python=1.1.0=py311hfdbf927_3",
        "giflib=5.2.2=h5eee18b_0",
        "hdf5=1.14.5=h2b7332f_2",
        "intel-openmp=2023.1.0=hdb19cb5_46306",
        "jpeg=9f=h5ce9db8_0",
        "joblib=1.5.2=py311h06a4308_0",
        "libxgboost=1.7.3=h6a678d5_0",
        "mkl=2023.1.0=h213fc3f_46344",
        "mkl-service=2.4.0=py311h5eee18b_1",
        "numpy=1.26.4=py311h08b1b3b_0",
        "numpy-base=1.26.4=py311hf175353_0",
        "openssl=3.0.16=h5eee18b_0",
        "protobuf=4.25.3=py311h8b2b5ba_1",
        "py-xgboost=1.7.3=py311h06a4308_0",
        "python=3.11.13=h1a3bd86_0",
        "snappy=1.2.1=h6a678d5_0",
        "tzdata=2024b=h04d1e81_0",
        "xorg-libx11=1.8.12=h9b100fa_1",
        "yaml=0.2.5=h7b6447c_0",
        "zstd=1.5.6=hc292b87_0",
    ]
    specification = specify(tmp_path, "export.yml", "dependencies:\n" + "".join(f"- {line}\n" for line in lines))
    assert specification.requirements == (
        *("brotli==1.1.0", "joblib==1.5.2", "numpy==1.26.4", "numpy==1.26.4", "protobuf==4.25.3"),
        *("xgboost==1.7.3", "tzdata"),
    )
    (note,) = [note for note in specification.notes if "native libraries" in note]
    assert note.endswith(
        ": _libgcc_mutex, blas, giflib, hdf5, intel-openmp, jpeg, libxgboost, mkl, mkl-service, openssl, snappy, "
        "xorg-libx11, yaml, zstd"
    )


@pytest.mark.parametrize(
    "name", ["graphviz", "pandoc", "nodejs", "git", "samtools", "redis", "antlr", "r-zstd", "geckodriver"]
)
@pytest.mark.parametrize("suffix", ["", "=1.2", "=1.2=h123_0"])
def test_a_program_of_conda_is_never_another_package_of_the_index(tmp_path, name, suffix):
    message = refusal(tmp_path, "env.yml", f"dependencies:\n- {name}{suffix}\n")
    assert message.startswith(f"env.yml:2: '{name}{suffix}' is not a Python package")


def test_all_unsupported_lines_are_listed_in_one_message(tmp_path):
    (tmp_path / "more.txt").write_text("scipy @ file:///croot/scipy_3\nnump y\n")
    text = "attrs @ file:///croot/attrs_1\njoblib==1.5.2\n-r more.txt\n-e .\n-r gone.txt\n"
    said = refusal(tmp_path, "freeze.txt", text).splitlines()
    assert said[:4] == [
        "each of these lines refers to a file on the machine that built the package, which does not exist here:",
        "  freeze.txt:1: attrs @ file:///croot/attrs_1",
        "  more.txt:1: scipy @ file:///croot/scipy_3",
        "run `pip list --format=freeze > freeze.txt` in that environment to write versions instead",
    ]
    assert [line.partition("'")[0] for line in said[5:]] == [
        "more.txt:2: ",
        "freeze.txt:4: ",
        "freeze.txt:5: the file ",
    ]


@pytest.mark.parametrize(
    ("line", "requirement"),
    [
        ("-e git+https://example.org/us/tools.git@v2#egg=tools", "tools @ git+https://example.org/us/tools.git@v2"),
        ("--editable=git+ssh://git@example.org/t.git#egg=tools", "tools @ git+ssh://git@example.org/t.git"),
        (
            "-e git+https://example.org/t.git@v2#egg=tools&subdirectory=py",
            "tools @ git+https://example.org/t.git@v2#subdirectory=py",
        ),
        ("-e 'tools[io] @ git+https://example.org/t.git@v2'", "tools[io] @ git+https://example.org/t.git@v2"),
        ("-e git+https://example.org/t.git", "git+https://example.org/t.git"),
    ],
)
@pytest.mark.parametrize("file", ["requirements.txt", "env.yml"])
def test_an_editable_address_is_taken_without_its_e(tmp_path, file, line, requirement):
    text = f"{line}\n" if file.endswith("txt") else f'dependencies:\n- pip:\n  - "{line}"\n'
    specification = specify(tmp_path, file, text)
    assert specification.requirements == (requirement,)
    assert [note for note in specification.notes if note.startswith("-e (")]


def test_a_project_of_this_machine_is_imported_from_the_snapshot(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'shop'\n")
    (tmp_path / "lib").mkdir()
    for line in ("-e .", ".", "-e .[dev]", f"-e {tmp_path}", f"shop @ file://{tmp_path}"):
        message = refusal(tmp_path, "requirements.txt", f"{line}\n")
        assert "+script.environment_variables.PYTHONPATH=src lets" in message
        assert message.endswith("environment.file=pyproject.toml installs its dependencies")
    assert "PYTHONPATH=lib lets" in refusal(tmp_path, "requirements.txt", "./lib\n")


def test_a_wheel_of_this_machine_is_taken_from_its_folder(tmp_path):
    message = refusal(tmp_path, "requirements.txt", "wheels/shop-1.2-py3-none-any.whl\n")
    assert "`--find-links wheels` and `shop==1.2`" in message


def test_packages_for_another_system_are_left_out_with_a_note(tmp_path):
    specification = specify(
        tmp_path, "requirements.txt", "pywin32==306\nsix\npyobjc-core==10 ; sys_platform == 'darwin'\n"
    )
    assert specification.requirements == ("six", "pyobjc-core==10 ; sys_platform == 'darwin'")
    assert specification.notes == ("pywin32 (requirements.txt:1) is ignored: it is for Windows only",)


def test_conda_pip_section_reads_requirements(tmp_path):
    (tmp_path / "requirements.txt").write_text("six\n")
    specification = specify(tmp_path, "env.yml", "dependencies:\n- pip:\n  - -r requirements.txt\n  - joblib==1.4.2\n")
    assert specification.requirements == ("six", "joblib==1.4.2")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dependencies:\n- numpy\n  - [\n", "env.yml:"),
        ("- numpy\n", "env.yml: a conda file must be a mapping with the key 'dependencies'"),
        ("name: x\n", "env.yml:1: 'dependencies' must be a list"),
        ("name: x\ndependancies:\n- numpy\n", "env.yml:2: unknown key 'dependancies': did you mean 'dependencies'?"),
        ("dependencies:\n- numpy\n- numpy 1.8*|1.9*\n", "env.yml:3: 'numpy 1.8*|1.9*' cannot be read"),
        ("dependencies:\n- python=3.x\n", "env.yml:2: 'python=3.x' cannot be read"),
        ("dependencies:\n- python~=3\n", "env.yml:2: 'python~=3' cannot be read"),
        (
            "dependencies:\n- numpy\n- pop:\n  - six\n",
            "env.yml:3: a dependency must be a name with a version, or 'pip:'",
        ),
        ("dependencies:\n- numpy\n- null\n", "env.yml:3: a dependency must be a name with a version"),
        ("dependencies:\n- numpy\n-\n", "env.yml:3: a dependency must be a name with a version"),
        ("dependencies:\n- numpy\n- 1.23\n", "env.yml:3: a dependency must be a name with a version"),
        ("dependencies: [six]\ndependencies: [numpy]\n", "env.yml:2: the key 'dependencies' is there twice"),
        ("dependencies:\n- pip:\n  - six\n  - -e .\n", "env.yml:4: '-e .' is a path on this machine"),
    ],
)
def test_bad_conda(tmp_path, text, expected):
    assert refusal(tmp_path, "env.yml", text).startswith(expected)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    text=st.text(alphabet="ab1=<>.*,|[]{}:-!&'\" \n", max_size=40), name=st.sampled_from(["e.yml", "e.txt", "e.toml"])
)
def test_any_text_is_read_or_refused(tmp_path, text, name):
    # Whatever else is raised fails the test.
    with contextlib.suppress(EnvironmentSpecError):
        specify(tmp_path, name, text)


def test_pyproject(tmp_path):
    text = '[project]\nname = "x"\nrequires-python = ">=3.9"\ndependencies = ["six", "joblib>=1"]\n'
    specification = specify(tmp_path, "pyproject.toml", text)
    assert specification.requirements == ("six", "joblib>=1")
    assert specification.python is not None
    assert (specification.python.specifier, specification.python.where) == (">=3.9", "pyproject.toml:3")


def test_pyproject_whose_dependencies_stand_in_files_for_setuptools(tmp_path):
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "base.in").write_text("six\n-e .\n")
    text = (
        "[project]\nname = 'x'\ndynamic = ['dependencies']\n"
        "[tool.setuptools.dynamic]\ndependencies = {file = ['requirements/base.in']}\n"
    )
    assert refusal(tmp_path, "pyproject.toml", text).startswith("requirements/base.in:2: '-e .' is a path")
    (tmp_path / "requirements" / "base.in").write_text("six\n")
    assert specify(tmp_path, "pyproject.toml", text).requirements == ("six",)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[project\n", "pyproject.toml:1: must be TOML: "),
        ("[tool.poetry]\nname = 'x'\n", "pyproject.toml: must have a table [project]"),
        ("[project]\nname='x'\ndynamic = ['dependencies']\n", "pyproject.toml:3: dependencies are dynamic"),
        ("[project]\ndependencies = [\n'six',\n'nump y',\n]\n", "pyproject.toml:4: 'nump y' is not a requirement"),
        ("[project]\nname='x'\ndynamic = 5\n", "pyproject.toml:3: 'dynamic' must be a list"),
        ("tool = 5\n[project]\ndependencies = 5\n", "pyproject.toml:3: 'dependencies' must be a list"),
        ("[tool]\nuv = 5\n[project]\ndependencies = 5\n", "pyproject.toml:4: 'dependencies' must be a list"),
        ("[project]\ndependencies = 'six'\n", "pyproject.toml:2: 'dependencies' must be a list"),
        ("[project]\nrequires-python = 'new'\n", "pyproject.toml:2: requires-python=new"),
    ],
)
def test_bad_pyproject(tmp_path, text, expected):
    assert refusal(tmp_path, "pyproject.toml", text).startswith(expected)


def test_script_block(tmp_path):
    text = (
        '"""Doc."""\n# /// script\n# requires-python = ">=3.11"\n# dependencies = [\n#   "six",\n# ]\n# ///\nprint()\n'
    )
    specification = specify(tmp_path, "train.py", text)
    assert specification.requirements == ("six",)
    assert specification.python is not None
    assert specification.python.where == "train.py:3"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("print()\n", "train.py: has no block that lists the script's packages (PEP 723)"),
        ("# /// script\n# dependencies = [\n# ///\n", "train.py:"),
        ("x = 1\n# /// script\n# dependencies = ['six']\n", "train.py:2: the block `# /// script` is incomplete"),
        ("# /// script\n#dependencies = []\n# ///\n", "train.py:1: the block `# /// script` is incomplete"),
        ("# /// script \r\n# dependencies = []\r\n# ///\r\n", "train.py:1: the block `# /// script` is incomplete"),
        ("x = 1\n# /// script\n# dependencies = ['nump y']\n# ///\n", "train.py:3: 'nump y' is not a requirement"),
    ],
)
def test_bad_script_block(tmp_path, text, expected):
    assert refusal(tmp_path, "train.py", text).startswith(expected)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("", ()),
        ("tool.uv.sources.six.git = 'https://x/six'\n", ("[tool.uv.sources] (FILE) is ignored: six from the index",)),
        (
            "[tool.uv]\nindex = [{url = 'https://x/simple'}]\npackage = false\nconstraint-dependencies = ['six<2']\n",
            ("index and constraint-dependencies in [tool.uv] (FILE) are ignored",),
        ),
    ],
)
def test_settings_of_uv_that_change_what_is_installed_are_noted(tmp_path, settings, expected):
    table = f"dependencies = ['six']\n{settings}"
    block = "".join(f"# {line}\n" for line in table.splitlines())
    for name, text in (
        ("pyproject.toml", f"{settings}\n[project]\ndependencies = ['six']\n"),
        ("train.py", f"# /// script\n{block}# ///\n"),
    ):
        notes = specify(tmp_path, name, text).notes
        assert len(notes) == len(expected)
        for note, start in zip(notes, expected, strict=True):
            assert note.startswith(start.replace("FILE", name))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"name": "a b"}, "environment.name=a b"),
        ({"name": "e", "python": "2.7"}, "environment.python=2.7: must be a version from 3.6 on"),
        ({"name": "e", "python": "new"}, "environment.python=new"),
        ({"name": "e", "packages": "numpy"}, "environment.packages='numpy': must be a list"),
        ({"name": "e", "packages": None}, "environment.packages=None: must be a list"),
        (
            {"name": "e", "packages": ["six", {"joblib": 1.5}]},
            "environment.packages: each item must be a requirement such as 'joblib==1.5.2', not {'joblib': 1.5}",
        ),
        ({"name": "e", "file": "x.txt", "user_managed_dependencies": True}, "remove environment.file"),
    ],
)
def test_fields_are_checked(fields, expected):
    with pytest.raises(EnvironmentSpecError, match=re.escape(expected)):
        Environment(**fields)


def test_unquoted_3_10_is_understood():
    config = OmegaConf.merge(OmegaConf.structured(Environment), OmegaConf.create("{name: e, python: 3.10}"))
    composed = OmegaConf.to_object(config)
    assert isinstance(composed, Environment)
    assert composed.python == "3.10"


def test_classmethods_start_from_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "notebooks" / "env.yml").write_text(ARTICLE)
    monkeypatch.chdir(tmp_path / "notebooks")
    environment = Environment.from_conda_specification(name="myenv", file_path="env.yml")
    assert environment.specify(tmp_path).requirements == ("scikit-learn", "numpy")


def test_sklearn_has_the_pins_of_amlcore():
    installed = (CONF.parent.parent / "requirements" / "runtime.txt").read_text().splitlines()
    pins = [line.removesuffix(" \\") for line in installed if "==" in line]
    names = {"scikit-learn", "pandas", "matplotlib", "joblib", "numpy", "scipy"}
    assert set(curated("sklearn")["packages"]) == {pin for pin in pins if pin.split("==")[0] in names}


def test_script_option_takes_the_runs_own_script():
    option = curated("script")
    option.pop("defaults")
    job = OmegaConf.create({"script": {"source_directory": "a b", "script": "train.py"}, "environment": option})
    assert job.environment.file == "a b/train.py"


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_curated_options_can_be_specified(path, tmp_path):
    lines = path.read_text().splitlines()
    assert lines[0].endswith(f"environment={path.stem}")
    option = curated(path.stem)
    further = ["sklearn@otherwise"] if path.stem == "auto" else []
    assert option.pop("defaults") == ["/schema/environment@_here_", *further, "_self_"]
    (tmp_path / "train.py").write_text("# /// script\n# dependencies = ['six']\n# ///\n")
    option["file"] = "train.py" if "file" in option else None
    environment = Environment(**option)
    assert environment.name == path.stem
    assert environment.specify(tmp_path).python is None or environment.python is not None
