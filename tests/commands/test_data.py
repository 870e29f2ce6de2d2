"""`spectrum-trl data`: every verb works for every task, and says what to do where it cannot."""

import errno
import fnmatch
import importlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spectrum_trl.commands import data_tables
from spectrum_trl.commands.main import app
from spectrum_trl.errors import UserError
from spectrum_trl.suite.building.manifest import read_manifest
from spectrum_trl.suite.catalogue import suite_sources, suite_tasks
from spectrum_trl.suite.fetching import lock
from tests.messages import named, naming
from tests.processes import printed, run_command
from tests.suite.fetching.server import serving

FIXTURES = Path(__file__).parents[1] / "suite" / "fixtures"
TASKS = pytest.mark.parametrize("name", list(suite_tasks()))
# The first task of each shape: what is sampled, on which side of the split, drawn or read from files.
SHAPES = {(task.kind, task.split, task.synthetic): name for name, task in reversed(suite_tasks().items())}
SHOWN = [
    pytest.param(name, marks=() if name in SHAPES.values() else pytest.mark.nightly) for name in suite_tasks()
]


@dataclass
class Done:
    """What a command gave.

    Attributes:
        code: Its exit code.
        out: Standard output.
        err: Standard error, or the problems of a user's mistake.
    """

    code: int
    out: str
    err: str


Data = Callable[..., Done]


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def data(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Data:
    """Run ``spectrum-trl data`` in this process."""
    monkeypatch.setenv("SPECTRUM_CACHE", str(cache))
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", cache / "datasets")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.delenv("SPECTRUM_DATA", raising=False)

    def run(*words: str | Path, network: bool = False) -> Done:
        if network:
            monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        found = CliRunner().invoke(app, ["data", *map(str, words)])
        if isinstance(found.exception, UserError):
            return Done(found.exception.exit_code, found.stdout, str(found.exception))
        if found.exception and not isinstance(found.exception, SystemExit):
            raise found.exception
        return Done(found.exit_code, found.stdout, found.stderr)

    return run


def words_of(table: str) -> set[str]:
    """The words of a table's cells."""
    return {
        word.strip(",") for line in table.splitlines() for cell in line.split("│") for word in cell.split()
    }


def test_list_has_a_row_for_every_task(data: Data) -> None:
    said = data("list").out
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in said.splitlines() if line[:1] == "│"]
    first = {row[0]: row for row in rows if row[0]}
    assert list(first) == list(suite_tasks())
    for name, task in suite_tasks().items():
        assert first[name][1:4] == [task.split, task.kind, task.source.name]
        assert first[name][4] and task.summary.startswith(first[name][4].split()[0])


def real_folder(name: str, *, beside: Path | None, invented: Path) -> tuple[Path, str]:
    """Return where the data of a task are, and what they are."""
    task = suite_tasks()[name]
    if task.synthetic:
        return invented, "synthetic"
    if beside is not None and not task.missing(beside):
        return beside, "real"
    return invented, "invented"


@pytest.fixture(scope="session")
def beside(request: pytest.FixtureRequest) -> Path | None:
    """The folder of the real data, or None where there is none."""
    try:
        return Path(request.getfixturevalue("suite_data"))
    except pytest.skip.Exception:
        return None


@pytest.mark.parametrize("name", SHOWN)
def test_show_prints_a_sequence_of_every_task(
    name: str,
    data: Data,
    beside: Path | None,
    invented_data: Path,
    record_property: Callable[[str, object], None],
) -> None:
    task = suite_tasks()[name]
    folder, kind = real_folder(name, beside=beside, invented=invented_data)
    record_property("data", kind)
    assert not task.missing(folder), f"{name} has neither real data nor an invented data set in {FIXTURES}"
    done = data("show", name, "--data-dir", folder)
    assert done.code == 0, done.err
    first = next(iter(task.sequences(folder, seed=0)))
    head, *turns = done.out.splitlines()
    assert head.startswith(f"{name} ({task.split}, {task.kind}, {task.source.name}): sequence ")
    assert f" {first.n_outputs} outputs; " in " ".join(done.out.split())
    assert sum(line.startswith("output ") for line in turns) >= first.n_outputs
    assert any(line.startswith("description ") for line in turns)


@TASKS
def test_every_task_has_an_invented_data_set_or_is_drawn_from_a_seed(name: str, invented_data: Path) -> None:
    task = suite_tasks()[name]
    assert task.synthetic or not task.missing(invented_data)


def test_show_prints_another_row_and_the_papers_sampling(data: Data, invented_data: Path) -> None:
    words = ("show", "titanic_survival_prediction", "--data-dir", invented_data)
    first, second, other = data(*words), data(*words, "--row", "1"), data(*words, "--seed", "1")
    assert len({first.out, second.out, other.out}) == 3
    assert data("show", "babynames", "--data-dir", invented_data, "--paper").code == 0
    done = data(*words, "--row", "99999")
    assert done.code == 2 and "--row: titanic_survival_prediction has" in done.err


def test_show_prints_texts_as_they_are(data: Data, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text('user,said\nann,"[bold]x[/] :smile: \\[y] [/nope]"\n')
    (tmp_path / "mine.yaml").write_text(
        "task: mine\nspectrum: {file: mine.csv, group_by: user, output: said, descriptions: ['[red]d']}\n"
    )
    said = data("show", tmp_path / "mine.yaml", "--data-dir", tmp_path).out
    assert "[bold]x[/] :smile: \\[y] [/nope]" in said and "[red]d" in said


@pytest.mark.slow
def test_build_of_all_invented_data_sets_at_once(data: Data, invented_data: Path, tmp_path: Path) -> None:
    storable = [
        name for name, task in suite_tasks().items() if not task.source.private and not task.synthetic
    ]
    done = data("build", *storable, "--data-dir", invented_data, "--output", tmp_path / "out")
    assert done.code == 0, done.err
    manifest = read_manifest(tmp_path / "out")
    assert manifest is not None and list(manifest["tasks"]) == sorted(storable)
    for name in storable:
        record = manifest["tasks"][name]
        assert printed(done.out, name)[1][:2] == [record["sequences"], record["outputs"]]
    again = data("build", *storable, "--data-dir", invented_data, "--output", tmp_path / "out")
    assert " ".join(again.out.split()).count("(built before)") == len(storable)
    other = data(
        "build", storable[0], "--data-dir", invented_data, "--output", tmp_path / "out", "--seed", "1"
    )
    assert other.code == 2 and named(other.err, tmp_path / "out", "seed 0")
    # A folder of built tasks is not what tasks are built from, but they are shown from it.
    for verb in ("build", "stats"):
        refused = data(verb, "--data-dir", tmp_path / "out", "--output", tmp_path / "out2")
        assert refused.code == 2 and named(refused.err, tmp_path / "out", "build")
    assert data("show", storable[0], "--data-dir", tmp_path / "out").code == 0


def test_build_of_a_glob_tells_what_is_missing_and_builds_the_rest(data: Data, tmp_path: Path) -> None:
    importlib.import_module("tests.suite.fixtures.titanic").write(tmp_path / "data")
    words = ("--data-dir", tmp_path / "data", "--output", tmp_path / "out")
    done = data("build", "titanic*", "babyn*", *words)
    assert done.code == 0 and "missing: babynames: " in done.err
    assert list((read_manifest(tmp_path / "out") or {})["tasks"]) == fnmatch.filter(suite_tasks(), "titanic*")
    done = data("build", "titanic*", "babynames", *words)
    assert done.code == 2 and done.err.startswith("babynames: ")
    done = data("build", "babyn*", *words)
    assert done.code == 2 and named(done.err, tmp_path / "data", "no data")


def test_stats_writes_the_card_and_the_picture(data: Data, invented_data: Path, tmp_path: Path) -> None:
    names = [next(task.name for task in suite_tasks().values() if task.paper), "titanic_survival_prediction"]
    done = data("stats", *names, "--data-dir", invented_data, "--output", tmp_path / "card")
    assert done.code == 0, done.err
    said = (tmp_path / "card" / "README.md").read_text("utf-8")
    assert all(f"| {name} |" in said for name in names) and named(said, "Tokens", "bytes")
    assert (tmp_path / "card" / "composition.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in (tmp_path / "card").iterdir()} == {"README.md", "composition.png"}
    (tmp_path / "file").write_text("mine")
    done = data("stats", *names, "--data-dir", invented_data, "--output", tmp_path / "file")
    assert done.code == 2 and "is a file" in done.err


@pytest.mark.parametrize("name", ["README.md", "composition.png"])
def test_files_that_are_of_no_card_are_not_replaced(
    name: str, data: Data, invented_data: Path, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("# My project")
    words = ("stats", "titanic_survival_prediction", "--data-dir", invented_data, "--output", tmp_path)
    done = data(*words)
    assert done.code == 2 and named(done.err, tmp_path / name)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["# My project"]
    (tmp_path / name).unlink()
    assert data(*words).code == 0 and data(*words).code == 0


@pytest.mark.parametrize("verb", ["build", "stats"])
def test_an_empty_name_of_a_folder_is_refused(verb: str, data: Data) -> None:
    done = data(verb, "coinflip", "--output", "")
    assert done.code == 2 and "name a folder" in done.err
    done = data(verb, "coinflip", "--data-dir", "")
    assert done.code == 2 and "name a folder" in done.err


@pytest.mark.parametrize("variable", ["SPECTRUM_DATA", "SPECTRUM_CACHE", "--data-dir"])
def test_a_folder_of_a_user_who_is_not_there_is_told(
    variable: str, data: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ("--data-dir", "~nouser/x") if variable == "--data-dir" else ()
    if not words:
        monkeypatch.setenv(variable, "~nouser/x")
    done = data("status", *words)
    assert done.code == 2 and named(done.err, "~nouser/x", "user")


def test_fetch_again_forgets_a_table_of_ones_own(data: Data, tmp_path: Path) -> None:
    with serving() as site:
        site.files["/a.csv"] = b"user,stars\nann,1\n"
        keys = f"{{file: {site.address}/a.csv, group_by: user, output: stars, descriptions: [x]}}"
        (tmp_path / "mine.yaml").write_text(f"task: mine\nspectrum: {keys}\n")
        words = ("fetch", tmp_path / "mine.yaml", "--data-dir", tmp_path / "data")
        # Files that are fetched, and those that are there.
        assert printed(data(*words, network=True).out, "own")[1] == [1, 0]
        site.files["/a.csv"] = b"user,stars\nbob,1\n"
        assert printed(data(*words, network=True).out, "own")[1] == [0, 1]
        assert printed(data(*words, "--again", network=True).out, "own")[1] == [1, 0]
        show = data("show", tmp_path / "mine.yaml", "--data-dir", tmp_path / "data")
        assert "sequence bob" in show.out
    done = data("fetch", "--again", network=True)
    assert done.code == 2 and named(done.err, "--again", "sources")


def test_stats_counts_with_a_tokenizer(data: Data, invented_data: Path, tmp_path: Path) -> None:
    words = ("stats", "titanic_survival_prediction", "--data-dir", invented_data, "--output", tmp_path)
    assert data(*words, "--tokenizer", "spectrum-trl/tiny-base").code == 0
    assert named((tmp_path / "README.md").read_text("utf-8"), "Tokens", "spectrum-trl/tiny-base")


@pytest.mark.parametrize("access", ["manual", "request", "generated"])
def test_fetch_of_what_cannot_be_fetched_says_how_to_get_it(access: str, data: Data, tmp_path: Path) -> None:
    for source in suite_sources().values():
        if source.access == access:
            done = data("fetch", source.name, "--data-dir", tmp_path / "data", network=True)
            assert done.code == 2 and source.name in done.err
            assert all(said in done.err for said in (source.steps if access == "manual" else [source.ask]))
    if access == "generated":
        done = data("fetch", "coinflip", "--data-dir", tmp_path / "data", network=True)
        assert done.code == 2 and named(done.err, "generated")
    assert not (tmp_path / "data").exists()


def test_fetch_asks_for_consent_to_terms(data: Data, tmp_path: Path) -> None:
    source = next(source for source in suite_sources().values() if source.access == "consent")
    done = data("fetch", source.name, "--data-dir", tmp_path / "data", network=True)
    assert done.code == 2 and source.terms in done.err and "--accept" in done.err
    assert not (tmp_path / "data").exists()


def test_mistakes_end_with_exit_code_2_and_without_a_traceback(tmp_path: Path) -> None:
    manual = next(source for source in suite_sources().values() if source.access == "manual")
    for words, said in (
        (("fetch", manual.name), manual.steps[0]),
        (("show", "coinflop"), "Did you mean 'coinflip'?"),
        (("push", tmp_path, "me/suite"), "holds no build"),
    ):
        done = run_command("data", *words, SPECTRUM_CACHE=str(tmp_path), HF_HUB_OFFLINE="0")
        assert done.returncode == 2 and "Traceback" not in done.stderr
        assert " ".join(said.split()) in " ".join(done.stderr.split())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("show", "coinflop"), ["'coinflop'", "'coinflip'"]),
        (("build", "coinflop", "normall"), ["'normall'", "'normal'"]),
        (("stats", "coinflop"), ["'coinflop'", "'coinflip'"]),
        (("fetch", "pollis"), ["source", "'pollis'", "'polis'"]),
        (("show", "mine.yaml"), ["mine.yaml", "exist"]),
        (("show", "coinflip", "--data-dir", "nowhere"), ["nowhere", "not a folder"]),
        (("status", "--data-dir", "nowhere"), ["nowhere", "not a folder"]),
    ],
)
def test_unknown_names_and_folders_are_told(words: tuple[str, ...], said: list[str], data: Data) -> None:
    done = data(*words)
    assert done.code == 2 and named(done.err, *said)


def test_status_says_the_state_of_each_kind(data: Data, tmp_path: Path) -> None:
    tmp_path = tmp_path / "d"
    importlib.import_module("tests.suite.fixtures.titanic").write(tmp_path)
    said = data("status", "--data-dir", tmp_path).out
    rows: list[list[str]] = []
    for line in said.splitlines():
        if line[:1] == "│":
            cells = [cell.strip() for cell in line.split("│")[1:-1]]
            if cells[0]:
                rows.append(cells)
            else:
                rows[-1] = [" ".join(pair).strip() for pair in zip(rows[-1], cells, strict=True)]
    states = {row[0]: row[2] for row in rows}
    assert set(states) == {task.source.name for task in suite_tasks().values()}
    words = {"fetch": "can be fetched", "consent": "needs consent", "manual": "manual", "request": "request"}
    for name, source in suite_sources().items():
        assert states[name] == ("ready" if name == "titanic" else words[source.access]), name
    assert states["suite"] == "generated"
    assert all(row[4] for row in rows)
    # All names are whole, however narrow the column.
    assert set(suite_tasks()) <= words_of(said)


def test_status_tells_fetched_files_that_changed(data: Data, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x")
    with lock.changing_lock(tmp_path) as changed:
        changed["files"]["a.csv"] = lock.Entry("0" * 64, 1, "", "")._asdict()
    assert named(data("status", "--data-dir", tmp_path).out, "changed", "a.csv")
    (tmp_path / lock.NAME).write_text(json.dumps([]))
    assert named(data("status", "--data-dir", tmp_path).err, lock.NAME, "damaged")


def test_a_card_that_cannot_be_written_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(data_tables, "draw", full)
    with pytest.raises(UserError, match=naming(tmp_path / "card", "No space left")):
        data_tables.write_card(
            [suite_tasks()["poisson"]],
            output=tmp_path / "card",
            data_dir=tmp_path,
            seed=0,
            tokenizer=None,
        )
    assert not list((tmp_path / "card").iterdir())
