"""accelerate launch ends like the script it ran where that reported a user's mistake."""

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize(("code", "ends_with", "traceback"), [(0, 0, False), (2, 2, False), (3, 1, True)])
def test_only_exit_code_2_of_the_script_is_passed_on(
    tmp_path: Path, code: int, ends_with: int, traceback: bool
) -> None:
    script = tmp_path / "script.py"
    script.write_text(f"import sys; sys.exit({code})")
    accelerate = Path(sys.executable).with_name("accelerate")
    done = subprocess.run([accelerate, "launch", "--cpu", script], capture_output=True, text=True)
    assert done.returncode == ends_with
    assert ("Traceback" in done.stderr) is traceback


def test_other_programs_keep_their_excepthook() -> None:
    code = "import sys; print(sys.excepthook is sys.__excepthook__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
