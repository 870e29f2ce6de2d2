"""The console command: ``spectrum-trl``, or ``python -m spectrum_trl``."""

import os
import signal


def main() -> None:
    """Import the commands, which Ctrl-C ends without a traceback, and run one."""
    # Ignored where a shell starts it in the background, or handled by a program that calls this.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, lambda number, frame: os._exit(128 + number))
    from spectrum_trl.commands.main import main as run

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    run()


if __name__ == "__main__":
    main()
