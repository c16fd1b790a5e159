import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from amlcore.errors import SnapshotError
from amlcore.snapshot.ignore import NOISE
from amlcore.snapshot.listing import list_source
from amlcore.snapshot.snapshot import Snapshot, SnapshotLimits, digest, load, materialize, stored_files, take

LIMITS = SnapshotLimits()


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    folder.mkdir()
    return folder


@pytest.fixture
def store(tmp_path):
    return tmp_path / "store"


def put(path: Path, text: str = "x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def names(snapshot: Snapshot) -> list[str]:
    return [file.path for file in stored_files(snapshot.manifest)]


def content(snapshot: Snapshot, path: str) -> bytes:
    sha256 = next(file.sha256 for file in stored_files(snapshot.manifest) if file.path == path)
    return (snapshot.objects / sha256[:2] / sha256).read_bytes()


def test_a_snapshot_stays_as_it_was_when_the_source_is_edited(source, store):
    script = put(source / "train.py", "print(1)")
    first = take(source, store=store, limits=LIMITS)
    script.write_text("print(2)")
    second = take(source, store=store, limits=LIMITS)
    assert content(first, "train.py") == b"print(1)"
    assert content(second, "train.py") == b"print(2)"
    assert first.id != second.id


def test_equal_folders_give_one_snapshot_and_one_object(source, store, tmp_path):
    put(source / "a.py", "same")
    put(source / "deep/b.py", "same")
    shutil.copytree(source, tmp_path / "other")
    first, second = (take(folder, store=store, limits=LIMITS) for folder in (source, tmp_path / "other"))
    assert first == second
    assert len([path for path in first.objects.rglob("*") if path.is_file()]) == 1


def test_objects_are_read_only(source, store):
    put(source / "a.py")
    snapshot = take(source, store=store, limits=LIMITS)
    modes = {path.stat().st_mode & 0o777 for path in store.rglob("*") if path.is_file() and path.parent.name != "stat"}
    assert modes == {0o444}
    assert load(snapshot.id, store=store) == snapshot


@pytest.mark.parametrize("path", ["train.py", "big.bin"])
def test_an_object_that_was_written_into_is_stored_anew(source, store, path):
    put(source / path, "x" * (9 << 20) if path == "big.bin" else "C=1")
    old = time.time() - 100
    os.utime(source / path, (old, old))
    time.sleep(2.1)  # from now on the source itself is not read again
    snapshot = take(source, store=store, limits=LIMITS)
    before = content(snapshot, path)
    stored = next(file for file in snapshot.objects.rglob("*") if file.is_file())
    stored.chmod(0o644)
    with stored.open("r+b") as stream:
        stream.write(b"!")
    stored.chmod(0o444)
    assert content(snapshot, path) != before
    assert content(take(source, store=store, limits=LIMITS), path) == before


def test_an_object_in_another_folder_that_was_written_into_is_not_trusted(source, store, tmp_path):
    put(source / "a.py", "C=1")
    snapshot = take(source, store=store, limits=LIMITS)
    stored = next(file for file in snapshot.objects.rglob("*") if file.is_file())
    stored.chmod(0o644)
    stored.write_text("C=2")
    put(tmp_path / "other/a.py", "C=1")
    assert content(take(tmp_path / "other", store=store, limits=LIMITS), "a.py") == b"C=1"


@pytest.mark.parametrize("damage", ["damaged; remove", "missing: there is no file"])
def test_a_damaged_object_is_not_materialized(source, store, tmp_path, damage):
    put(source / "a.py", "C=1")
    snapshot = take(source, store=store, limits=LIMITS)
    stored = next(file for file in snapshot.objects.rglob("*") if file.is_file())
    stored.unlink()
    if "damaged" in damage:
        stored.write_text("C=2")
    with pytest.raises(SnapshotError, match=rf"the stored object of a\.py is {damage} {stored}"):
        materialize(snapshot.manifest, objects=snapshot.objects, into=tmp_path / "back", selects=lambda path: True)


def test_a_changed_manifest_is_refused(source, store):
    put(source / "a.py")
    snapshot = take(source, store=store, limits=LIMITS)
    snapshot.manifest.chmod(0o644)
    snapshot.manifest.write_text('{"files": [], "links": []}')
    with pytest.raises(SnapshotError, match="has changed since it was stored"):
        load(snapshot.id, store=store)


def test_digest_equals_take_and_writes_nothing(source, store):
    put(source / "a.py")
    expected = digest(source, store=store, limits=LIMITS)
    assert not store.exists()
    assert take(source, store=store, limits=LIMITS) == expected


def test_the_executable_bit_and_links_that_stay_inside_are_kept(source, store):
    put(source / "run.sh").chmod(0o700)
    put(source / "data/a.csv").chmod(0o664)
    (source / "latest.csv").symlink_to("data/a.csv")
    (source / "data/loop").symlink_to("loop")
    snapshot = take(source, store=store, limits=LIMITS)
    assert {file.path: file.mode for file in stored_files(snapshot.manifest)} == {"data/a.csv": 0o644, "run.sh": 0o755}
    assert '["latest.csv","data/a.csv"]' in snapshot.manifest.read_text()


@pytest.mark.parametrize("target", ["../secret.txt", "/etc/hostname", "sub/../../secret.txt", "here/../secret.txt"])
def test_a_link_that_leaves_the_folder_is_refused_by_name(source, store, target):
    put(source.parent / "secret.txt")
    (source / "here").symlink_to(".")
    put(source / "sub/a.py")
    (source / "leak").symlink_to(target)
    with pytest.raises(SnapshotError, match=r"the link leak leads to .*\.amlignore"):
        take(source, store=store, limits=LIMITS)


def test_an_ignored_link_is_not_looked_at(source, store):
    put(source / ".amlignore", "leak\n")
    (source / "leak").symlink_to("/etc/hostname")
    assert names(take(source, store=store, limits=LIMITS)) == [".amlignore"]


def test_noise_is_left_out(source, store):
    put(source / "train.py")
    put(source / "env/pyvenv.cfg")
    put(source / "env/lib/big.py")
    put(source / "sub/outputs/kept.txt")
    for noise in NOISE:
        put(
            source / noise.strip("/").replace("*", "a") / "x"
            if noise.endswith("/")
            else source / noise.replace("*", "a")
        )
    assert names(take(source, store=store, limits=LIMITS)) == ["sub/outputs/kept.txt", "train.py"]


def test_links_to_noise_and_to_folders_of_the_workspace_are_left_out(source, store, tmp_path):
    put(source / "train.py")
    put(tmp_path / "big/x.txt")
    put(tmp_path / "venv/pyvenv.cfg")
    for name in ("outputs", "node_modules", "state"):
        (source / name).symlink_to(tmp_path / "big")
        exclude = [source / "state"] if name == "state" else []
        assert names(take(source, store=store, limits=LIMITS, exclude=exclude)) == ["train.py"]
        (source / name).unlink()
    (source / "env").symlink_to(tmp_path / "venv")
    assert names(take(source, store=store, limits=LIMITS)) == ["train.py"]


def test_logs_are_left_out_and_a_package_of_that_name_is_not(source, store):
    put(source / "train.py")
    put(source / "logs/a.txt")
    put(source / "sub/logs/b.txt")
    assert names(take(source, store=store, limits=LIMITS)) == ["sub/logs/b.txt", "train.py"]
    put(source / "logs/__init__.py")
    assert "logs/__init__.py" in names(take(source, store=store, limits=LIMITS))


def test_a_rule_brings_noise_back(source, store):
    put(source / "outputs/a.txt")
    put(source / "env/pyvenv.cfg")
    put(source / ".amlignore", "!/outputs/\n!env/\n")
    assert names(take(source, store=store, limits=LIMITS)) == [".amlignore", "env/pyvenv.cfg", "outputs/a.txt"]


def test_a_list_of_what_to_keep_brings_no_noise_back(source, store):
    put(source / ".amlignore", "*\n!*/\n!*.py\n")
    put(source / "sub/train.py")
    put(source / "data/big.csv")
    for noise in (".git/hooks/a.py", "env/pyvenv.cfg", "env/lib/a.py", "node_modules/gyp/a.py", "outputs/a.py"):
        put(source / noise)
    assert names(take(source, store=store, limits=LIMITS)) == ["sub/train.py"]


def test_amlignore_takes_the_place_of_gitignore(source, store):
    put(source / "a.txt")
    put(source / "b.txt")
    put(source / ".gitignore", "a.txt\n")
    assert "a.txt" not in names(take(source, store=store, limits=LIMITS))
    put(source / ".amlignore", "b.txt\n")
    assert names(take(source, store=store, limits=LIMITS)) == [".amlignore", ".gitignore", "a.txt"]


def test_a_folder_of_the_workspace_is_left_out_and_one_of_the_same_name_elsewhere_is_not(source, store):
    put(source / "models/sklearn-iris/1/model.json")
    put(source / "package/models/net.py")
    put(source / ".amlignore", "!models/\n")
    snapshot = take(source, store=source / "store", limits=LIMITS, exclude=[source / "models"])
    assert names(snapshot) == [".amlignore", "package/models/net.py"]


@pytest.mark.parametrize("rule", ["!", "a.txt\\", "!a.txt\\", "a.txt\t", "[[:digit:]].txt"])
def test_a_rule_that_matches_nothing_is_passed_over_as_git_does(rule, source, store):
    put(source / "a.txt")
    put(source / "b.txt")
    put(source / ".amlignore", f"b.txt\r\n{rule}\n")
    assert names(take(source, store=store, limits=LIMITS)) == [".amlignore", "a.txt"]


def test_the_largest_culprits_are_named_and_nothing_is_stored(source, store):
    put(source / "train.py")
    put(source / "notes.txt", "n" * 30_000)
    put(source / "data/raw/big.csv", "b" * 900_000)
    for number in range(4):
        put(source / f"cache/{number}.bin", "c" * 50_000)
    with pytest.raises(SnapshotError) as caught:
        take(source, store=store, limits=SnapshotLimits(max_mb=1))
    message = str(caught.value)
    assert "holds 1.1 MB; the limit is 1 MB" in message
    assert "largest: data/raw/big.csv (0.9 MB), cache/ (0.2 MB), notes.txt (0.0 MB)" in message
    assert ".amlignore" in message
    assert "workspace.snapshot_max_mb=2" in message
    assert not store.exists()


def test_a_folder_of_too_many_files_is_named(source, store):
    for number in range(30):
        put(source / f"frames/{number}.txt")
    put(source / "train.py")
    with pytest.raises(SnapshotError, match=r"holds 31 files.* 20; most are in: frames/ \(30 files\).*max_files=31"):
        take(source, store=store, limits=SnapshotLimits(max_files=20))


def test_counting_stops_well_past_the_file_limit(source, store):
    for number in range(40):
        put(source / f"data/{number % 2}/{number}.csv")
    with pytest.raises(SnapshotError, match=r"more than 10 files, and the limit is 2; .*[.]snapshot_max_files$"):
        take(source, store=store, limits=SnapshotLimits(max_files=2))


def test_a_missing_folder_and_a_file_are_refused(source, store):
    with pytest.raises(SnapshotError, match="absent does not exist"):
        take(source / "absent", store=store, limits=LIMITS)
    with pytest.raises(SnapshotError, match=r"train\.py is a file"):
        take(put(source / "train.py"), store=store, limits=LIMITS)


def test_a_name_that_is_not_utf8_is_refused(source, store):
    put(source / os.fsdecode(b"caf\xe9.txt"))
    with pytest.raises(SnapshotError, match="is not a valid UTF-8 name"):
        take(source, store=store, limits=LIMITS)


def test_a_pipe_holds_nothing_and_is_passed_over(source, store):
    os.mkfifo(source / "pipe")
    put(source / "a.py")
    assert names(take(source, store=store, limits=LIMITS)) == ["a.py"]


@pytest.mark.skipif(os.geteuid() == 0 and not shutil.which("setpriv"), reason="root reads everything")
def test_an_unreadable_file_is_named(source, store):
    put(source / "secret.key").chmod(0)
    code = f"""
from pathlib import Path
from amlcore.errors import SnapshotError
from amlcore.snapshot.snapshot import SnapshotLimits, digest
try:
    digest(Path({str(source)!r}), store=Path({str(store)!r}), limits=SnapshotLimits())
except SnapshotError as error:
    print(error)
"""
    command = [sys.executable, "-c", code]
    if os.geteuid() == 0:
        command = ["setpriv", "--bounding-set=-all", "--inh-caps=-all", *command]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert f"{source / 'secret.key'} cannot be read (Permission denied)" in done.stdout, done.stderr


def test_an_edit_of_the_same_size_and_times_is_seen(source, store):
    script = put(source / "train.py", "C=1")
    old = time.time() - 100
    os.utime(script, (old, old))
    take(source, store=store, limits=LIMITS)
    script.write_text("C=2")
    os.utime(script, (old, old))
    assert content(take(source, store=store, limits=LIMITS), "train.py") == b"C=2"


def test_a_file_edited_right_after_it_was_read_is_read_again(source, store):
    script = put(source / "train.py", "C=0")
    for number in range(200):
        text = f"C={number % 10}"
        with script.open("r+") as stream:
            stream.write(text)
        assert content(take(source, store=store, limits=LIMITS), "train.py") == text.encode()


def test_unchanged_files_are_not_read_again_and_a_lost_object_is(source, store, monkeypatch):
    script = put(source / "train.py", "C=1")
    time.sleep(2.1)
    snapshot = take(source, store=store, limits=LIMITS)
    accessed = script.stat().st_atime_ns
    opened: list[str] = []
    real_open = Path.open
    monkeypatch.setattr(Path, "open", lambda self, *a, **k: opened.append(self.name) or real_open(self, *a, **k))
    assert take(source, store=store, limits=LIMITS) == snapshot
    assert "train.py" not in opened
    assert script.stat().st_atime_ns == accessed
    shutil.rmtree(snapshot.objects)
    assert content(take(source, store=store, limits=LIMITS), "train.py") == b"C=1"


def test_a_large_file_is_stored_whole(source, store):
    data = os.urandom(9 << 20)
    (source / "big.bin").write_bytes(data)
    snapshot = take(source, store=store, limits=LIMITS)
    assert content(snapshot, "big.bin") == data
    assert not [path for path in snapshot.objects.iterdir() if path.name.startswith(".")]


def test_eight_takes_of_one_folder_at_once(source, store):
    for number in range(50):
        put(source / f"{number}.txt", str(number) * 1000)
    code = (
        "import sys; from pathlib import Path; from amlcore.snapshot.snapshot import SnapshotLimits, take\n"
        "print(take(Path(sys.argv[1]), store=Path(sys.argv[2]), limits=SnapshotLimits()).id)"
    )
    command = [sys.executable, "-c", code, str(source), str(store)]
    takers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(8)]
    ids = {taker.communicate()[0] for taker in takers}
    assert [taker.returncode for taker in takers] == [0] * 8
    assert len(ids) == 1
    assert len([path for path in (store / "objects").rglob("*") if path.is_file()]) == 50


def test_unchanged_files_are_not_read_again(source, store):
    for number in range(200):
        put(source / f"d{number % 20}/f{number}.txt", str(number))
    time.sleep(2.1)  # a file that changed just now is read again, whatever its times say
    code = (
        "import sys; from pathlib import Path; from amlcore.snapshot.snapshot import SnapshotLimits, take\n"
        "opened = []\n"
        "sys.addaudithook(lambda event, arguments: event == 'open' and opened.append(str(arguments[0])))\n"
        "for _ in range(2):\n"
        "    opened.clear()\n"
        "    take(Path(sys.argv[1]), store=Path(sys.argv[2]), limits=SnapshotLimits())\n"
        "    print(sum(path.startswith(sys.argv[1] + '/d') and path.endswith('.txt') for path in opened))\n"
    )

    done = subprocess.run([sys.executable, "-c", code, source, store], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["200", "0"]


NAMES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name not in (".", "..") and len(name.encode()) < 200 and name not in (".amlignore", ".gitignore")
)


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.dictionaries(NAMES.map(lambda name: "_" + name), st.binary(max_size=100), max_size=6))
def test_names_and_contents_come_back(files):
    with tempfile.TemporaryDirectory() as temporary:
        folder, back = Path(temporary) / "source", Path(temporary) / "back"
        (folder / "sub").mkdir(parents=True)
        for name, data in files.items():
            (folder / "sub" / name).write_bytes(data)
        snapshot = take(folder, store=Path(temporary) / "store", limits=LIMITS)
        back.mkdir()
        materialize(snapshot.manifest, objects=snapshot.objects, into=back, selects=lambda path: True)
        contents = {path.name: path.read_bytes() for path in back.rglob("*") if path.is_file()}
        assert contents == {name: data for name, data in files.items() if not name.endswith(".pyc")}


# Bytes above 127, some POSIX classes, a backslash before a slash, brackets across a slash, `***` and `a**` are read
# otherwise by git than by pathspec.
SEGMENTS = [
    "a",
    "b",
    "ab",
    "*",
    "**",
    "?",
    "*.py",
    "*.txt",
    "a*",
    "[ab]",
    "[!a]",
    "[a-c]",
    "[^a]",
    "\\!a",
    "\\#b",
    "\\*",
    "[[:alpha:]]",
    "[![:digit:][:upper:]]*",
]
PATHS = st.lists(st.sampled_from(["a", "b", "ab", "x.py", "a.txt", "b c", "!a", "#b", "A", "x-y", "a "]), min_size=1)
RULES = st.builds(
    "{0}{1}{2}{3}".format,
    st.sampled_from(["", "", "", "!"]),
    st.sampled_from(["", "", "/"]),
    st.lists(st.sampled_from([*SEGMENTS, "b\\ c", "b c", "*a*", "[]a]", "x[-]y"]), min_size=1, max_size=3).map(
        "/".join
    ),
    st.sampled_from(["", "", "/", " "]),
) | st.sampled_from(["!", "", "/", "[:alpha:]", "a\\", "a\t", "!a\\"])


@settings(max_examples=100, deadline=None)
@given(
    paths=st.lists(PATHS.map(lambda names: "/".join(names[:4])), min_size=1, max_size=8),
    rules=st.lists(RULES, max_size=5),
)
def test_rules_leave_out_what_git_leaves_out(paths, rules):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        for path in paths:
            try:
                put(folder / path)
            except (FileExistsError, NotADirectoryError, IsADirectoryError):
                continue  # the name is taken by a folder, or by a file on the way
        (folder / ".amlignore").write_text("\n".join(rules) + "\n")
        subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
        command = ["git", "-c", "core.excludesFile=", "ls-files", "-z", "--others", "--exclude-from=.amlignore"]
        kept = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True).stdout
        ours = {file.path for file in list_source(folder).files}
        assert ours - {".amlignore"} == set(kept.split("\0")) - {"", ".amlignore"}


@pytest.mark.parametrize("inside", [".", "part of/it"])
def test_files_tracked_by_git_are_not_ignored(inside, tmp_path, store):
    source = tmp_path / "repository" / inside
    tracked = ["a.csv", "data/b.txt", "data/deep/er/c.txt", "ä/d.csv", "data/link"]
    for path in (*tracked[:-1], "e.csv", "data/f.txt", "data/deep/g.txt", "ä/h.csv", "i.py"):
        put(source / path, path)
    (source / "data/link").symlink_to("b.txt")
    put(source / ".gitignore", "*.csv\ndata/\n")
    git = ["git", "-C", str(source)]
    subprocess.run(["git", "init", "--quiet", str(tmp_path / "repository")], check=True)
    subprocess.run([*git, "add", "--force", *tracked], check=True)

    taken = take(source, store=store, limits=LIMITS)
    links = [path for path, _ in json.loads(taken.manifest.read_text())["links"]]
    assert {*names(taken), *links} == {*tracked, ".gitignore", "i.py"}

    put(source / ".amlignore", "*.csv\ndata/\n")
    assert names(take(source, store=store, limits=LIMITS)) == [".amlignore", ".gitignore", "i.py"]
