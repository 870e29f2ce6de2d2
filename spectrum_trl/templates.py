"""Spectrum chat templates for scripts: ``from spectrum_trl import templates``."""

from spectrum_trl.prompts.templates import Format, install, own_template, render

__all__ = ["Format", "install", "own_template", "render"]
