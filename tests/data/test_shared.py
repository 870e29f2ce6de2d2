import json
import re
import resource
from pathlib import Path
from types import SimpleNamespace

import pytest
from datasets import Dataset

from spectrum_trl.data import prepare as shared
from spectrum_trl.data.mixture import Mixture
from spectrum_trl.errors import UserError
from tests.messages import named, naming
from tests.processes import run_processes

RECIPE = """# A run.
launch: any; from spectrum_trl.launch import launch; launch(__file__); r\"\"\"

model_name_or_path: spectrum-trl/tiny-base
copy_role_tokens_from: spectrum-trl/tiny-instruct
tasks: {titanic_survival_prediction: {}, coinflip: {max_sequences: 5}}
max_length: 256
per_device_train_batch_size: 2
use_cpu: true
bf16: false
activation_checkpointing: false
dataloader_pin_memory: false
save_strategy: "no"
# \"\"\"
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    from tests.suite.fixtures import titanic

    folder = tmp_path / "data"
    titanic.write(folder)
    return folder


@pytest.mark.slow
def test_two_processes_build_the_data_once_and_train_on_the_same(tmp_path: Path, data: Path) -> None:
    recipe = tmp_path / "run.yaml"
    recipe.write_text(RECIPE)
    cache = tmp_path / "cache"
    done = run_processes(
        2,
        recipe,
        "--max_steps",
        "2",
        "--output_dir",
        str(tmp_path / "run"),
        SPECTRUM_DATA=str(data),
        SPECTRUM_CACHE=str(cache),
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"processes: 2", done.stdout)
    assert set(json.loads((tmp_path / "run" / "provenance.json").read_text()))
    # One build of the task, and nothing of the mixture is left.
    assert len(list((cache / "built").glob("titanic_survival_prediction-*.parquet"))) == 1
    assert not [path for path in (cache / "mixtures").iterdir() if path.is_dir()]


@pytest.mark.slow
def test_a_mistake_in_the_data_ends_both_processes_with_one_message(tmp_path: Path, data: Path) -> None:
    recipe = tmp_path / "run.yaml"
    recipe.write_text(RECIPE)
    (data / "hub/titanic/titanic.csv").write_text("Survived,Pclas\n1,2\n")
    done = run_processes(
        2,
        recipe,
        "--max_steps",
        "2",
        "--output_dir",
        str(tmp_path / "run"),
        SPECTRUM_DATA=str(data),
        SPECTRUM_CACHE=str(tmp_path / "cache"),
    )
    assert done.returncode == 2 and named(" ".join(done.stderr.split()), "'Pclass'", "'Pclas'")
    assert "Traceback" not in done.stderr and not (tmp_path / "run").exists()


def test_a_cache_folder_that_is_none_is_one_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPECTRUM_CACHE", "/dev/null")
    monkeypatch.setattr(shared, "PartialState", lambda: SimpleNamespace(num_processes=2))
    with pytest.raises(UserError, match=naming("/dev/null", "folder", "SPECTRUM_CACHE")):
        shared.built_once(lambda: pytest.fail("built"), settings="x")


def test_a_disk_that_is_full_is_one_message_and_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SPECTRUM_CACHE", str(tmp_path))
    monkeypatch.setattr(shared, "PartialState", lambda: SimpleNamespace(num_processes=2))
    mixture = Mixture(Dataset.from_dict({"input_ids": [[1] * 100] * 1000}), [], {})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files of at most so many bytes: what is written ends as on a full disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, hard))
    try:
        with pytest.raises(UserError, match=naming("mixtures", "SPECTRUM_CACHE")):
            shared.built_once(lambda: mixture, settings="x")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not [path for path in (tmp_path / "mixtures").iterdir() if path.is_dir()]
