"""Whatever a recipe and a command line say, the answer is a recipe or a message, never a traceback."""

from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spectrum_trl.data.choice import select_tasks
from spectrum_trl.errors import UserError
from spectrum_trl.recipe.fields import known_fields
from spectrum_trl.recipe.read import read_recipe, write_recipe
from spectrum_trl.training.checks import check_recipe

NAMES = [*known_fields()]
LIKELY = [
    "tasks",
    "train_files",
    "split",
    "fsdp",
    "fsdp_config",
    "new_model",
    "report_to",
    "lora_target_modules",
]
KEYS = (
    st.sampled_from(NAMES)
    | st.sampled_from(LIKELY)
    | st.sampled_from(["launch", "learning_rat", "", "a b", "\u2028"])
)
SCALARS = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        -1,
        3,
        10**30,
        2**32,
        0.5,
        -0.0,
        1e-5,
        1e308,
        float("nan"),
        float("inf"),
        "",
        " ",
        "x",
    ]
    + [
        "no",
        "none",
        "null",
        "true",
        "1",
        "-1",
        "1e5",
        "nan",
        "auto",
        "all",
        "*",
        "[",
        "{",
        "tiny_range",
        "flight",
    ]
    + [
        "train,test",
        "linear",
        "steps",
        "best",
        "qwen3",
        "/dev/null/x",
        "~",
        "~nobody/x",
        "a" * 300,
        '"""',
        "ü\u2028",
    ]
)
DATES = st.dates() | st.datetimes() | st.binary(max_size=3) | st.text(max_size=5)
OPTIONS = [
    "max_sequences",
    "weight",
    "description_probability",
    "version",
    "model_type",
    "hidden_size",
    "min_lr",
    "x",
]
VALUES = st.recursive(
    SCALARS | DATES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["tiny_range", "*", *OPTIONS]) | SCALARS, inner, max_size=3)
    ),
    max_leaves=5,
)
BASE = {"model_name_or_path": "spectrum-trl/tiny-base", "output_dir": "x", "use_cpu": True, "bf16": False}
RAW = st.sampled_from(
    [
        "",
        "a: 1\na: 1\n",
        "tasks: {x: 1, x: 2}\n",
        "? [a]\n: b\n",
        "b: &x [*x]\n",
        "seed: 0x" + "f" * 5000 + "\n",
    ]
    + ["seed: 1_0\n", "run_name: !!binary x\n", "a: !!set {b}\n", "seed: 1:30:00\n", "\t: x\n", "%YAML 9.9\n"]
    + ["seed: !!int x\n", "tasks: " + "[" * 300 + "]" * 300 + "\n", "seed: 9" + "9" * 5000 + "\n", "\x00\n"]
)
WORDS = st.lists(
    st.sampled_from([f"--{name}" for name in [*NAMES, *LIKELY * 5]])
    | st.sampled_from(
        ["--", "-", "-x", "--max-steps=3", "--seed=", "--=", "--x=y", "=", "-1", "-1e-5", "--no_packing"]
    )
    | SCALARS.map(str)
    | VALUES.map(str)
    | st.sampled_from(
        [
            "[" * 50_000,
            '{"a": 1, "a": 2}',
            '{"a": NaN}',
            "[1e999]",
            '["\\ud800"]',
            "\udc80",
            "a,b",
            "9" * 5000,
        ]
    )
    | st.text(max_size=4),
    max_size=7,
)
RECIPES = st.tuples(st.booleans(), st.dictionaries(KEYS, VALUES, max_size=4), RAW | st.just(""))


def survives(folder: Path, recipe: tuple[bool, dict, str], words: list[str]) -> bool:
    """Return whether a recipe was read; anything but that and a ``UserError`` passes through."""
    based, settings_, raw = recipe
    file = folder / "r.yaml"
    text = yaml.safe_dump(
        {**(BASE if based else {}), **settings_}, allow_unicode=True, default_flow_style=None
    )
    file.write_text(text + raw, encoding="utf-8", errors="surrogatepass")
    try:
        read = read_recipe(file, overrides=words)
        again = folder / "again.yaml"
        write_recipe(read.settings, again)
        assert read_recipe(again).settings == {k: v for k, v in read.settings.items() if k != "hub_token"}
        check_recipe(read)
        select_tasks(read.data)
    except UserError as error:
        assert error.problems and all(isinstance(p, str) and 0 < len(p) < 2000 for p in error.problems)
        for problem in error.problems:
            problem.encode()
        return False
    return True


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.data_too_large,
    ],
)
@given(recipe=RECIPES, words=WORDS)
@pytest.mark.slow
def test_a_random_recipe_and_command_line_end_in_a_recipe_or_a_message(
    tmp_path: Path, recipe: tuple[bool, dict, str], words: list[str]
) -> None:
    survives(tmp_path, recipe, words)


@pytest.mark.filterwarnings("ignore")
@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(key=st.sampled_from(NAMES), value=VALUES, words=WORDS.map(lambda words: words[:2]))
@pytest.mark.slow
def test_one_random_value_in_a_sound_recipe_ends_in_a_recipe_or_a_message(
    tmp_path: Path, key: str, value: object, words: list[str]
) -> None:
    survives(tmp_path, (True, {key: value}, ""), [])
    survives(tmp_path, (True, {}, ""), [f"--{key}", *words])
