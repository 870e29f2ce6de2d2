"""What a recipe can say besides TRL's ``SFTConfig`` and ``ModelConfig``."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from spectrum_trl.prompts.families import Layout
from spectrum_trl.recipe.task_choice import FileChoice, FileOptions, TaskChoice, TaskOptions
from spectrum_trl.suite.task import Split


@dataclass
class DataArguments:
    """The data mixture and what is done with it.

    Attributes:
        tasks: Task names, globs or YAML files of your own, each with its options. A list, comma-separated
            text, or a mapping of each to ``{max_sequences: int, weight: float}`` (both optional) becomes this
            type.
        train_files: JSON Lines files of your own, one ``{"messages": [...]}`` a line, each with its options;
            written like ``tasks``, with ``description_probability`` as a third option.
        split: Which splits the names and globs may reach: ``train`` or ``test`` (held out from training).
        max_sequences: Cap per task where the mapping names none.
        description_probability: Chance that a sequence keeps its description; null for each task's own.
        train_on: Which outputs carry loss: all the template allows, the first of them, or the last.
        layout: What writes the conversations: ``spectrum``, the template of the model's family; ``text``,
            documents without turns, to pretrain on, whose contents stand behind each other as they are;
            ``chat``, turns of system, user and assistant in ChatML.
        mixture_seed: Seed of building, sampling and dropping descriptions.
        long_sequences: What becomes of turns beyond ``max_length``: ``cut`` loses them, as the paper does;
            ``split`` begins further sequences with them, under the same description.
        sampling: How many individuals and sequences of the Suite's tasks: ``default`` takes all that the
            filters leave, ``paper`` the paper's numbers.
        data_dir: Folder of the real data sets, or one that ``spectrum-trl data build`` wrote; null for the
            environment variable SPECTRUM_DATA, or the user's cache folder.
        ignore_missing: Train on what is there and print what is missing, instead of stopping.
    """

    tasks: dict[str, TaskOptions] = field(
        default_factory=dict, metadata={"help": "Task names or globs, each with {max_sequences, weight}."}
    )
    train_files: dict[str, FileOptions] = field(
        default_factory=dict,
        metadata={
            "help": "Your JSON Lines files, each with {max_sequences, weight, description_probability}."
        },
    )
    split: list[Split] = field(
        default_factory=lambda: ["train"], metadata={"help": "Splits that the names and globs may reach."}
    )
    max_sequences: int | None = field(
        default=None, metadata={"help": "Cap per task where the task itself names none."}
    )
    description_probability: float | None = field(
        default=0.8,
        metadata={"help": "Chance that a task's sequence keeps its description; null for its own."},
    )
    train_on: Literal["outputs", "first", "last"] = field(
        default="outputs", metadata={"help": "Which outputs carry loss."}
    )
    layout: Layout = field(
        default="spectrum",
        metadata={"help": "How conversations are written: Spectrum turns, plain text, chat."},
    )
    mixture_seed: int = field(
        default=0, metadata={"help": "Seed of building, sampling and dropping descriptions."}
    )
    long_sequences: Literal["cut", "split"] = field(
        default="cut", metadata={"help": "What becomes of turns that do not fit: lost, or further sequences."}
    )
    sampling: Literal["default", "paper"] = field(
        default="default", metadata={"help": "How much of each task: all, or the paper's numbers."}
    )
    data_dir: str | None = field(
        default=None, metadata={"help": "Folder of the real data sets; null for $SPECTRUM_DATA."}
    )
    ignore_missing: bool = field(
        default=False, metadata={"help": "Train without missing data sets instead of stopping."}
    )

    def __post_init__(self) -> None:
        """Parse the choice of tasks and files."""
        self.tasks = TypeAdapter(TaskChoice).validate_python(self.tasks)
        self.train_files = TypeAdapter(FileChoice).validate_python(self.train_files)


@dataclass
class RunArguments:
    """What happens around training.

    Attributes:
        new_model: transformers configuration (with ``model_type``) of a model to train from nothing,
            instead of ``model_name_or_path``.
        new_vocab_size: Vocabulary of the new model's tokenizer, learnt from the mixture.
        new_vocab_tasks: Further tasks that the new tokenizer learns words from.
        copy_role_tokens_from: Instruct sibling whose embeddings of the role tokens replace the
            untrained ones of a base checkpoint; an empty text copies nothing. Another
            ``model_name_or_path`` on the command line needs its own sibling there.
        save_dtype: Number type of the saved weights; null for that of the model trained from, so that a
            bfloat16 checkpoint trained in single precision is saved as bfloat16, rounded up or down at random
            so that small updates are kept on average.
        evaluate: Measure the model and its instruct sibling before training, and the model after it, on the
            tiny world's held-out distributions.
        recorded: File among the kit's recipes with an earlier result of all-token tuning, which ``evaluate``
            shows beside the others.
        resume_despite_changes: Continue a run although settings, versions or data differ; the differences are
            noted in its history.
        overwrite: Replace what an earlier run left in ``output_dir``.
    """

    new_model: dict[str, Any] | None = field(
        default=None, metadata={"help": "Configuration of a model to train from nothing."}
    )
    new_vocab_size: int = field(
        default=2048, metadata={"help": "Vocabulary size of a new model's tokenizer."}
    )
    new_vocab_tasks: list[str] | None = field(
        default=None, metadata={"help": "Further tasks that a new tokenizer learns words from."}
    )
    copy_role_tokens_from: str | None = field(
        default=None, metadata={"help": "Instruct sibling to copy the role tokens' embeddings from."}
    )
    save_dtype: Literal["float32", "bfloat16", "float16"] | None = field(
        default=None, metadata={"help": "Number type of the saved weights."}
    )
    evaluate: Literal["none", "tiny"] = field(
        default="none", metadata={"help": "What to measure before and after training."}
    )
    recorded: str | None = field(
        default=None, metadata={"help": "Recorded result of all-token tuning to show beside the others."}
    )
    resume_despite_changes: bool = field(
        default=False, metadata={"help": "Continue a run although settings, versions or data differ."}
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace an earlier run in output_dir."})
