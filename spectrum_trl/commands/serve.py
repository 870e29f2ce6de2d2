"""``spectrum-trl serve``: an OpenAI-compatible server."""

import os
from typing import Annotated

import typer

from spectrum_trl.commands.model_options import Adapter, Device, Dtype, Format, Model, Quantization
from spectrum_trl.errors import UserError


def serve(
    model: Model,
    host: Annotated[str, typer.Option(help="Address; 0.0.0.0 for other computers, too.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free.")] = 8000,
    api_key: Annotated[
        str | None, typer.Option(help="Key that clients send; better in SPECTRUM_API_KEY.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name for clients; by default MODEL.")] = None,
    max_body: Annotated[int, typer.Option(min=1, help="Bytes of a request.")] = 2**20,
    max_prompt_tokens: Annotated[
        int | None, typer.Option(min=1, help="Tokens of a prompt; by default the model's context.")
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Tokens of a sample.")] = 4096,
    max_answer_tokens: Annotated[
        int, typer.Option(min=1, help="Tokens of all answers whose probabilities a request asks for.")
    ] = 2**15,
    max_n: Annotated[int, typer.Option(min=1, help="Samples of a request.")] = 128,
    max_waiting: Annotated[int, typer.Option(min=1, help="Requests in the queue.")] = 256,
    drain_seconds: Annotated[
        float, typer.Option(min=0, max=86400, help="Time to finish what runs at SIGTERM or Ctrl-C.")
    ] = 60,
    format: Format = None,
    adapter: Adapter = None,
    dtype: Dtype = "auto",
    device: Device = "auto",
    quantization: Quantization = None,
) -> None:
    """Serve a model to any OpenAI client: samples, log-probabilities, and probabilities of answers."""
    _check_extra()
    from spectrum_trl.console import console
    from spectrum_trl.serve.run import address, listen

    key = api_key if api_key is not None else os.environ.get("SPECTRUM_API_KEY") or None
    # A key from a file ends with a line break, and clients send it without.
    key = key and key.strip()
    if key is not None and (not key or not key.isprintable()):
        raise UserError("--api-key is empty, or not printable; leave it out to ask for no key")
    # Before the model is loaded, which takes long.
    listening = listen(host, port)
    from spectrum_trl.ask.model import SpectrumModel
    from spectrum_trl.progress import quiet_when_piped
    from spectrum_trl.serve.app import build_app
    from spectrum_trl.serve.limits import Limits
    from spectrum_trl.serve.run import protect, run

    quiet_when_piped()
    settings = {"adapter": adapter, "dtype": dtype, "device": device, "quantization": quantization}
    loaded = SpectrumModel.from_pretrained(model, format=format, **settings)  # type: ignore[arg-type]
    limits = Limits(
        max_body, max_prompt_tokens, max_tokens, max_n, answer_tokens=max_answer_tokens, waiting=max_waiting
    )
    app, close = build_app(loaded, name=name or model, limits=limits, api_key=key)
    if key is None:
        protect(app, host, fix="; give --api-key")
    console().print(
        f"{name or model} at {address(listening)}/v1", markup=False, highlight=False, soft_wrap=True
    )
    run(app, listening, drain_seconds=drain_seconds, ended=close)


def _check_extra() -> None:
    try:
        import fastapi  # noqa: F401
        import prometheus_client  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise UserError(f'{error.name} is not installed: pip install "spectrum-trl[serve]"') from error
