"""``python -m spectrum_trl.training RECIPE``: what ``spectrum-trl train`` has accelerate start."""

import sys

from spectrum_trl.training.train import launch

if __name__ == "__main__":
    launch(sys.argv.pop(1))
