"""Let ``accelerate launch`` end like the recipe it ran: exit code 2 and no traceback for a user's mistake.

accelerate reports a failed script as an exception of its own, with exit code 1 and a traceback below the
script's message (https://github.com/huggingface/accelerate/issues/4277). A ``.pth`` file of this package
loads this module when Python starts as ``accelerate launch``, and nothing else is changed.
"""

import subprocess
import sys
from types import TracebackType

USER_ERROR = 2


def hook(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End with the script's exit code where it reported a user's mistake itself; else print as ever.

    Args:
        kind: Class of the exception that nobody caught.
        error: The exception.
        trace: Its traceback.
    """
    if isinstance(error, subprocess.CalledProcessError):
        codes = {error.returncode}
    else:
        # torch elastic's ChildFailedError, which several processes end with.
        codes = {failure.exitcode for failure in getattr(error, "failures", {}).values()}
    if codes == {USER_ERROR}:
        sys.exit(USER_ERROR)
    sys.__excepthook__(kind, error, trace)


sys.excepthook = hook
