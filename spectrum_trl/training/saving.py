"""Save a trained model so that stock libraries load it and stop where a sample ends."""

from pathlib import Path

from transformers import GenerationConfig, PreTrainedTokenizerBase
from trl import SFTTrainer

STAGING = ".saving"


def save_run(
    trainer: SFTTrainer, *, tokenizer: PreTrainedTokenizerBase, generation: GenerationConfig
) -> None:
    """Save model, tokenizer and generation settings into a side folder, then move them into place.

    Args:
        trainer: After training; every process must call this.
        tokenizer: With the Spectrum template.
        generation: What sampling should use by default.
    """
    folder = Path(str(trainer.args.output_dir))
    staging = folder / STAGING
    trainer.save_model(str(staging))
    if trainer.is_world_process_zero():
        tokenizer.save_pretrained(staging)
        generation.save_pretrained(staging)
        # A pickle of the arguments; recipe.yaml says the same and runs no code when read.
        (staging / "training_args.bin").unlink(missing_ok=True)
        for file in sorted(staging.iterdir()):
            file.replace(folder / file.name)
        staging.rmdir()
    trainer.accelerator.wait_for_everyone()


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
