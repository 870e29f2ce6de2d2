"""What recipe files call: ``spectrum_trl.train.launch``."""

from spectrum_trl.training.train import launch, train

__all__ = ["launch", "train"]
