"""What a recipe can say besides TRL's ``SFTConfig`` and ``ModelConfig``."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass
class DataArguments:
    """The data mixture and what is done with it.

    Attributes:
        tasks: Task names or globs. A list, a comma-separated text, or a mapping of each to
            ``{max_sequences: int, weight: float}`` (both optional).
        train_files: JSON Lines files of your own, one ``{"messages": [...]}`` a line.
        split: Which splits the names and globs may reach: ``train`` or ``test`` (held out from training).
        max_sequences: Cap per task where the mapping names none.
        description_probability: Chance that a sequence keeps its description; null for each task's own.
        train_on: Which outputs carry loss: all the template allows, the first of them, or the last.
        mixture_seed: Seed of building, sampling and dropping descriptions.
        data_dir: Folder of the real data sets; null for the environment variable SPECTRUM_DATA.
        ignore_missing: Train on what is there and print what is missing, instead of stopping.
    """

    tasks: dict[str, Any] | str | None = field(default=None, metadata={"help": "Task names or globs."})
    train_files: list[str] | None = field(default=None, metadata={"help": "JSON Lines files with messages."})
    split: list[str] = field(default_factory=lambda: ["train"], metadata={"help": "Splits to choose from."})
    max_sequences: int | None = field(default=None, metadata={"help": "Cap per task."})
    description_probability: float | None = field(default=0.8, metadata={"help": "In [0, 1], or null."})
    train_on: Literal["outputs", "first", "last"] = field(default="outputs", metadata={"help": "Loss on."})
    mixture_seed: int = field(default=0, metadata={"help": "Seed of the mixture."})
    data_dir: str | None = field(default=None, metadata={"help": "Folder of the real data sets."})
    ignore_missing: bool = field(default=False, metadata={"help": "Train without missing data sets."})


@dataclass
class RunArguments:
    """What happens around training.

    Attributes:
        new_model: transformers configuration (with ``model_type``) of a model to train from nothing,
            instead of ``model_name_or_path``.
        new_vocab_size: Vocabulary of the new model's tokenizer, learnt from the mixture.
        new_vocab_tasks: Further tasks that the new tokenizer learns words from.
        copy_role_tokens_from: Instruct sibling whose embeddings of the role tokens replace the
            untrained ones of a base checkpoint. A recipe's own is for the recipe's own model: it is left out,
            and that is printed, where the command line names another model without a sibling.
        save_dtype: Number type of the saved weights; null for that of the model trained from, so that a
            bfloat16 checkpoint trained in single precision is saved as bfloat16.
        evaluate: Measure the model before and after training on the tiny world's held-out distributions.
        resume_despite_changes: Continue a run although settings, versions or data differ; the differences are
            noted in its history.
        overwrite: Replace what an earlier run left in ``output_dir``.
    """

    new_model: dict[str, Any] | str | None = field(default=None, metadata={"help": "Model to initialise."})
    new_vocab_size: int = field(default=2048, metadata={"help": "Vocabulary of a new tokenizer."})
    new_vocab_tasks: list[str] | None = field(default=None, metadata={"help": "Further tasks for words."})
    copy_role_tokens_from: str | None = field(default=None, metadata={"help": "Instruct sibling."})
    save_dtype: Literal["float32", "bfloat16", "float16"] | None = field(
        default=None, metadata={"help": "Number type of the saved weights."}
    )
    evaluate: Literal["none", "tiny"] = field(default="none", metadata={"help": "Before and after."})
    resume_despite_changes: bool = field(
        default=False, metadata={"help": "Continue although settings, versions or data differ."}
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace an earlier run."})
