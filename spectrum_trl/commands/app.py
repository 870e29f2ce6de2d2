"""``spectrum-trl app``: a page to play with a model."""

from typing import Annotated, Any

import typer

from spectrum_trl.commands.model_options import Adapter, Device, Dtype, Format, Model, Quantization
from spectrum_trl.errors import UserError

# Time for what runs when a signal comes.
DRAIN_SECONDS = 10


def app(
    model: Model,
    compare_with: Annotated[str | None, typer.Option(help="A second model, shown beside it.")] = None,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 for other computers, too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 7860,
    max_new_tokens: Annotated[int, typer.Option(min=1, max=4096, help="Maximum tokens of a sample.")] = 256,
    format: Format = None,
    compare_format: Annotated[str | None, typer.Option(help="The same for the second model.")] = None,
    adapter: Adapter = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    quantization: Quantization = None,
) -> None:
    """Open a page to play with a model: its probabilities move with every example."""
    _check_extra()
    from spectrum_trl.console import console
    from spectrum_trl.serve.run import address, listen

    if compare_format is not None and compare_with is None:
        raise UserError("--compare-format: there is no second model; name it with --compare-with")
    # Before the models are loaded, which takes long.
    listening = listen(host, port)
    from spectrum_trl.app.answering import Shown
    from spectrum_trl.app.page import build_app
    from spectrum_trl.ask.model import SpectrumModel
    from spectrum_trl.progress import quiet_when_piped
    from spectrum_trl.serve.run import protect, run

    quiet_when_piped()
    defaults = {"adapter": None, "format": None, "dtype": "auto", "device": "auto", "quantization": None}
    shared = {"dtype": dtype, "device": device, "quantization": quantization}
    asked: list[tuple[str, dict[str, Any]]] = [(model, {"adapter": adapter, "format": format, **shared})]
    if compare_with is not None:
        asked.append((compare_with, {"format": compare_format, **shared}))
    shown = []
    for name, settings in asked:
        chosen = {key: value for key, value in settings.items() if value != defaults[key]}
        shown.append(Shown(name, SpectrumModel.from_pretrained(name, **chosen), chosen, max_new_tokens))
    page, ending = build_app(shown)
    protect(page, host)
    console().print(f"{model} at {address(listening)}", markup=False, highlight=False, soft_wrap=True)
    run(page, listening, drain_seconds=DRAIN_SECONDS, ending=ending)


def _check_extra() -> None:
    from importlib.util import find_spec

    # Not imported here: that takes seconds, and mistakes are told first.
    if find_spec("gradio") is None:
        raise UserError('gradio is not installed: pip install "spectrum-trl[app]"')
