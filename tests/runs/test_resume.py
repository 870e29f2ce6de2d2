"""What counts as a change between two starts of a run."""

from spectrum_trl.runs.resume import setting_changes


def test_an_option_that_did_not_exist_had_its_default() -> None:
    old = {"settings": {"seed": 0}, "versions": {}, "model": {}}
    assert setting_changes(old, {"settings": {"seed": 0, "max_sequences": None}}) == {}
    changed = setting_changes(old, {"settings": {"seed": 0, "mixture_seed": 7}})
    assert changed == {"mixture_seed": [0, 7]}


def test_settings_versions_and_model_are_compared() -> None:
    old = {"settings": {"seed": 0}, "versions": {"torch": "1"}, "model": {"x": "a"}}
    new = {"settings": {"seed": 1}, "versions": {"torch": "2"}, "model": {"x": "b"}}
    assert setting_changes(old, new) == {"seed": [0, 1], "torch": ["1", "2"], "x": ["a", "b"]}
