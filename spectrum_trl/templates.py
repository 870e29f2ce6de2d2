"""Spectrum chat templates for scripts: ``from spectrum_trl import templates``."""

from spectrum_trl.prompts.formats import Format, render
from spectrum_trl.prompts.templates import install, own_template

__all__ = ["Format", "install", "own_template", "render"]
