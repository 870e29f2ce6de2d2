"""Compare doctor's estimates with measured peaks of real models (``make bench-doctor``)."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from spectrum_trl.files import write_json

MODELS = {"smollm2-135m-instruct": "smollm2_135m", "gemma-3-270m": "gemma3_270m"}
LORA = "--use_peft true --lora_r 16 --lora_alpha 32 --lora_target_modules all-linear"
KINDS = {
    "full": "",
    "LoRA": LORA,
    "QLoRA": f"{LORA} --load_in_4bit true --bnb_4bit_quant_type nf4 --dtype bfloat16",
}
# Gemma's role tokens are untrained, so its embedding is trained whole.
WHOLE = {"gemma-3-270m": " --lora_modules_to_save embed_tokens,lm_head"}
PACKED = "--packing true --train_sampling_strategy random --per_device_train_batch_size 1 --max_length 512"
FOLDER = Path(os.environ.get("SPECTRUM_MODELS", "~/.cache/spectrum-models"))
LINE = "| {model} | {kind} | {fill} | {estimated:.2f} | {measured:.2f} | {error:+.0%} |"


def cases(folder: Path, *, rows: int, length: int) -> dict[tuple[str, str, str], list[str]]:
    """Return the arguments of each case by model, kind of training, and way to fill a batch."""
    plain = f"--per_device_train_batch_size {rows} --max_length {length}"
    found = {}
    for model, recipe in MODELS.items():
        for kind, flags in KINDS.items():
            for fill, batch in ((f"{rows} x {length}", plain), ("packed, 1 x 512", PACKED)):
                words = f"{flags}{WHOLE.get(model, '') if flags else ''} {batch} --max_sequences 20".split()
                found[model, kind, fill] = [recipe, "--model_name_or_path", str(folder / model), *words]
    return found


def measured(words: list[str]) -> dict[str, Any]:
    """Run doctor on a recipe; returns what it prints as JSON."""
    command = [sys.executable, "-m", "spectrum_trl", "doctor", *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def main(
    models: Annotated[Path, typer.Option(help="Folder of the models.")] = FOLDER,
    rows: Annotated[int, typer.Option(min=1, help="Rows of a batch that is not packed.")] = 4,
    length: Annotated[int, typer.Option(min=64, help="Tokens of such a row.")] = 192,
    output: Annotated[Path, typer.Option(help="JSON file; cases that it has are not measured again.")] = Path(
        "runs/bench_doctor.json"
    ),
) -> None:
    """Measure each case once, and print the table."""
    known = json.loads(output.read_text()) if output.is_file() else {}
    output.parent.mkdir(parents=True, exist_ok=True)
    for (model, kind, fill), words in cases(models.expanduser(), rows=rows, length=length).items():
        key = f"{model} {kind} {fill}"
        if key not in known:
            found = measured(words)
            known[key] = [found["memory"]["peak"] / 1e9, found["measured"]["peak"] / 1e9]
            write_json(known, output)
        estimated, peak = known[key]
        error = estimated / peak - 1
        line = LINE.format(model=model, kind=kind, fill=fill, estimated=estimated, measured=peak, error=error)
        print(line, flush=True)


if __name__ == "__main__":
    typer.run(main)
