"""Arguments of commands that ask a model, as `SpectrumModel.from_pretrained` names them."""

from typing import Annotated

import typer

Model = Annotated[str, typer.Argument(help="A folder, a Hub id, or an embedded model's name.")]
Format = Annotated[str | None, typer.Option(help="For models without a Spectrum template: colon or chat.")]
Adapter = Annotated[str | None, typer.Option(help="LoRA adapter for the model.")]
Dtype = Annotated[str, typer.Option(help="Number type; auto is float32 on a CPU.")]
Device = Annotated[str, typer.Option(help="auto is a GPU if there is one.")]
Quantization = Annotated[str | None, typer.Option(help="4bit or 8bit.")]
