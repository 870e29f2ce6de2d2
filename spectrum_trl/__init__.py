"""Spectrum Tuning (arXiv 2510.06084) as a recipe kit on top of TRL, peft and lm-eval."""

__version__ = "0.1.0"
