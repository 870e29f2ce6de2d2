"""The picture is a PNG of readable size, and replaces an old one only when it is whole."""

import struct
from pathlib import Path

import pytest

from spectrum_trl.tiny import report
from spectrum_trl.tiny.scores import TinyResult


def test_the_picture_is_a_png_of_readable_size(
    learnt_result: TinyResult, uniform_result: TinyResult, tmp_path: Path
) -> None:
    path = tmp_path / "curves.png"
    report.plot({"before": learnt_result, "after": uniform_result}, path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG\r\n\x1a\n") and content.endswith(b"IEND\xaeB`\x82")
    width, height = struct.unpack(">II", content[16:24])
    assert 1000 <= width <= 2000 and 700 <= height <= 1500
    assert 20_000 < len(content) < 1_000_000
    assert [file.name for file in tmp_path.iterdir()] == ["curves.png"]


def test_the_same_results_give_the_same_picture_and_others_another(
    learnt_result: TinyResult, uniform_result: TinyResult, tmp_path: Path
) -> None:
    for name, results in (
        ("a", {"x": learnt_result}),
        ("b", {"x": learnt_result}),
        ("c", {"x": uniform_result}),
    ):
        report.plot(results, tmp_path / name)
    a, b, c = ((tmp_path / name).read_bytes() for name in "abc")
    assert a == b != c


@pytest.mark.parametrize("n", [0, 6])
def test_more_results_than_colours_are_refused(n: int, learnt_result: TinyResult, tmp_path: Path) -> None:
    path = tmp_path / "curves.png"
    path.write_text("old")
    with pytest.raises(ValueError, match="expected 1 to 5"):
        report.plot({str(i): learnt_result for i in range(n)}, path)
    assert path.read_text() == "old"
