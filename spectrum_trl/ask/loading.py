"""Load a model to ask."""

from typing import Any, Literal, get_args

from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.errors import UserError, nearest
from spectrum_trl.models.load import for_cpu, load_model, load_tokenizer
from spectrum_trl.models.weights import check_weights, evaluation_device, evaluation_dtype

Quantization = Literal["4bit", "8bit"]
DTYPES = ("auto", "float32", "bfloat16", "float16", "float64")


def load(
    name: str,
    *,
    adapter: str | None,
    dtype: Any,
    device: str,
    quantization: Quantization | None,
    revision: str,
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer; arguments as for `SpectrumModel.from_pretrained`.

    Raises:
        UserError: If it cannot be loaded, or holds NaN or infinite weights, or the number type is unknown.
    """
    if isinstance(dtype, str) and dtype not in DTYPES:
        raise UserError(f"dtype: expected {', '.join(DTYPES)}, but it is {dtype!r}.{nearest(dtype, DTYPES)}")
    place = evaluation_device(None if device == "auto" else device)
    settings: dict[str, Any] = {"dtype": evaluation_dtype(place) if dtype == "auto" else dtype}
    if quantization is not None:
        settings["quantization_config"] = _quantization(quantization, name, place, revision)
    if place != "cpu" or quantization:
        settings["device_map"] = place
    tokenizer = load_tokenizer(adapter or name, base=name, revision="main" if adapter else revision)
    model = load_model(name, adapter=adapter, revision=revision, **settings)
    check_weights(model, name=adapter or name)
    return model.eval(), tokenizer


def _quantization(kind: Quantization, name: str, device: str, revision: str) -> BitsAndBytesConfig:
    if kind not in get_args(Quantization):
        raise UserError(f"quantization: expected 4bit or 8bit, but it is {kind!r}")
    settings = BitsAndBytesConfig(load_in_4bit=kind == "4bit", load_in_8bit=kind == "8bit")
    if device == "cpu" and kind == "4bit":
        for_cpu(settings, name=name, revision=revision)
    return settings
