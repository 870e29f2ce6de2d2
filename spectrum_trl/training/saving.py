"""Save a trained model so that stock libraries load it and stop where a sample ends."""

import shutil
from pathlib import Path

from transformers import GenerationConfig, PreTrainedTokenizerBase
from trl import SFTTrainer

from spectrum_trl.training.run_folder import STAGING, RunFolder


def save_run(trainer: SFTTrainer, *, folder: RunFolder, tokenizer: PreTrainedTokenizerBase) -> None:
    """Save the model into a side folder, all of it, and only then move it into place.

    Args:
        trainer: After training; every process must call this.
        folder: Of the run.
        tokenizer: With the Spectrum template.
    """
    staging = folder.path / STAGING
    if trainer.is_world_process_zero():
        shutil.rmtree(staging, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    write_model(trainer, staging, tokenizer=tokenizer)
    folder.publish(staging)
    trainer.accelerator.wait_for_everyone()


def write_model(trainer: SFTTrainer, staging: Path, *, tokenizer: PreTrainedTokenizerBase) -> None:
    """Write model, tokenizer and generation settings into a folder; every process must call this."""
    trainer.save_model(str(staging))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(staging)
        generation_config(tokenizer).save_pretrained(staging)
        # A pickle of the arguments; recipe.yaml says the same and runs no code when read.
        (staging / "training_args.bin").unlink(missing_ok=True)


def generation_config(tokenizer: PreTrainedTokenizerBase) -> GenerationConfig:
    """Return settings that sample from the model's own distribution and stop at the end of the turn."""
    return GenerationConfig(
        do_sample=True,
        temperature=1.0,
        top_p=1.0,
        top_k=0,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.bos_token_id,
    )
