"""Spectrum Tuning (arXiv 2510.06084) as a recipe kit on top of TRL, peft and lm-eval."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from spectrum_trl.ask.model import SpectrumModel

__version__ = "0.1.0"
__all__ = ["SpectrumModel", "__version__"]


def __getattr__(name: str) -> Any:
    # Importing torch and transformers takes seconds, and most commands report mistakes before they need them.
    if name == "SpectrumModel":
        from spectrum_trl.ask.model import SpectrumModel

        return SpectrumModel
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
