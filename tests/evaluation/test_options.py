"""Options come by lm-eval's metadata, are checked together, and name the nearest."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from lm_eval.tasks import TaskManager

from spectrum_trl.errors import UserError
from spectrum_trl.evaluation.options import Options, read_options, read_words
from spectrum_trl.evaluation.probe import format_of
from spectrum_trl.paths import TINY_BASE, bundled
from spectrum_trl.prompts import templates
from spectrum_trl.prompts.scored import Prompts
from tests.messages import named, naming


def test_arguments_of_the_model_pass_and_options_are_read() -> None:
    found = read_options({"pretrained": "x", "dtype": "bfloat16", "format": "colon", "samples": "7"})
    assert (found.format, found.samples, found.pretrained) == ("colon", 7, "x")
    assert read_options({}) == Options()


def test_all_wrong_values_are_told_with_the_nearest() -> None:
    with pytest.raises(UserError) as caught:
        read_options({"format": "colom", "samples": 0, "seed": "x", "scoring": "with_ends"})
    assert len(caught.value.problems) == 4
    assert named(caught.value.problems[0], "metadata: format", '"spectrum", "colon"', '"colom"', "'colon'")


@pytest.mark.parametrize("name", ["seed", "sequences", "max_tokens", "examples", "held_out_share", "samples"])
def test_a_switch_is_no_number(name: str) -> None:
    with pytest.raises(UserError, match=naming(f"metadata: {name}", "a number", "true")):
        read_options({name: True})


def test_what_is_given_twice_is_refused_instead_of_the_last_being_taken() -> None:
    found = read_words("a=1,b=x,", option="--o", beside={"c": "2", "d": None})
    assert found == {"a": 1, "b": "x", "c": "2"}
    for text, beside in (("a=1,b=2, a=3", {}), ("a=1,a=1", {}), ("a=1", {"a": "2"})):
        with pytest.raises(UserError, match=naming("--o: a ", "twice")):
            read_words(text, option="--o", beside=beside)


def test_without_a_named_model_prompts_cannot_be_written() -> None:
    with pytest.raises(UserError, match=naming("--model_args pretrained", "--metadata tokenizer")):
        Options().load_tokenizer()


def test_one_format_does_not_change_the_default_of_the_next_evaluation() -> None:
    found = []
    for more in ({}, {"format": "spectrum"}, {}):
        options = read_options({"pretrained": str(TINY_BASE)} | more)
        found.append(Prompts(options.load_tokenizer(), fmt=format_of(options, options.load_tokenizer())).fmt)
    assert found == ["colon", "spectrum", "colon"]


def test_a_folder_that_was_written_anew_is_read_again(tmp_path: Path) -> None:
    folder = shutil.copytree(TINY_BASE, tmp_path / "model")
    options = Options(pretrained=str(folder))
    assert options.load_tokenizer() is options.load_tokenizer()
    assert format_of(options, options.load_tokenizer()) == "colon"
    tokenizer = options.load_tokenizer()
    templates.install(copied := copy.deepcopy(tokenizer))
    copied.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"max_position_embeddings": 77}))
    assert format_of(options, options.load_tokenizer()) == "spectrum" and options.context() == 77


def test_a_chat_format_without_a_chat_template_is_one_clear_message() -> None:
    manager = TaskManager(
        include_path=str(bundled("tasks")),
        include_defaults=False,
        metadata={"pretrained": str(TINY_BASE), "format": "chat"},
    )
    (task,) = manager.load(["spectrum_dist_urn"])["tasks"].values()
    with pytest.raises(UserError, match=naming("format", "chat", "format=colon")):
        task.build_all_requests(limit=1)


def test_a_prompt_longer_than_the_context_is_refused_not_cut() -> None:
    manager = TaskManager(
        include_path=str(bundled("tasks")),
        include_defaults=False,
        metadata={"pretrained": str(TINY_BASE), "max_length": 20},
    )
    (task,) = manager.load(["spectrum_dist_urn"])["tasks"].values()
    with pytest.raises(UserError, match=naming("spectrum_dist_urn", "context", 20)):
        task.build_all_requests(limit=1)


def test_wrong_values_are_found_before_the_libraries_are_imported() -> None:
    code = """
import sys
from spectrum_trl.evaluation.options import check_names, read_options
for check, metadata in (check_names, {"sed": 1}), (read_options, {"format": "chatt", "samples": 0}):
    try:
        check(metadata)
    except Exception as error:
        print(*error.problems)
print("imported:", *{"torch", "transformers", "datasets", "lm_eval", "scipy.stats"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "'seed'" in done.stdout and "'chat'" in done.stdout and "samples" in done.stdout
    assert done.stdout.endswith("imported:\n"), done.stderr
