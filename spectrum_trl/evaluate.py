"""Measure one model on the miniature world's held-out distributions."""

from pathlib import Path

from spectrum_trl import templates
from spectrum_trl.console import console
from spectrum_trl.evaluation import miniature, report
from spectrum_trl.load import load_model, load_tokenizer


def evaluate_model(model: str, *, output: Path | None = None, seed: int = 0) -> miniature.MiniatureResult:
    """Evaluate a model and print the result.

    Args:
        model: A folder, a Hub id, or the embedded model's name.
        output: JSON file for the result, or None.
        seed: Seed of what is evaluated and sampled.

    Returns:
        The result.
    """
    tokenizer = load_tokenizer(model)
    templates.install(tokenizer)
    result = miniature.evaluate(load_model(model).eval(), tokenizer, seed=seed)
    report.show({model: result}, console=console())
    if output:
        miniature.save(result, output)
    return result
