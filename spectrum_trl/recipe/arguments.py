"""Fields of a recipe in addition to TRL's ``SFTConfig`` and ``ModelConfig``."""

from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter

from spectrum_trl.prompts.families import Layout
from spectrum_trl.recipe.task_choice import FileChoice, FileOptions, TaskChoice, TaskOptions
from spectrum_trl.suite.task import Split


@dataclass
class DataArguments:
    """The data mixture and its options.

    Attributes:
        tasks: Task names, globs or your own YAML files, each with its options. A list, comma-separated text,
            or a mapping of each to ``{max_sequences: int, weight: float}`` (both optional) is converted to
            this type.
        train_files: Your own JSON Lines files, one ``{"messages": [...]}`` per line, each with its options;
            written like ``tasks``, with ``description_probability`` as a third option.
        split: Splits that the names and globs may match: ``train`` or ``test`` (held out from training).
        max_sequences: Cap per task, unless the mapping sets one.
        description_probability: Probability that a sequence keeps its description, in [0, 1]; null for the
            task's default.
        train_on: Which outputs carry loss: all that the template allows, or the first or last of them.
        layout: How conversations are written: ``spectrum``, turns of the model's family; ``text``, documents
            without turns for pretraining, whose contents are concatenated; ``chat``, system, user and
            assistant turns in ChatML.
        mixture_seed: Seed for building, sampling and dropping descriptions.
        long_sequences: What happens to turns beyond ``max_length``: ``cut`` drops them, as the paper does;
            ``split`` starts further sequences with them, under the same description.
        sampling: How many individuals and sequences to take from the Suite's tasks: ``default`` takes all
            that pass the filters, ``paper`` the paper's numbers.
        data_dir: Folder of the real data sets, or one that ``spectrum-trl data build`` wrote; null for the
            environment variable SPECTRUM_DATA, or the cache folder.
        ignore_missing: Train without missing data sets, printing what is missing, instead of stopping.
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
        default_factory=lambda: ["train"], metadata={"help": "Splits that the names and globs may match."}
    )
    max_sequences: int | None = field(
        default=None, metadata={"help": "Cap per task, unless the task sets its own."}
    )
    description_probability: float | None = field(
        default=0.8,
        metadata={"help": "Probability that a sequence keeps its description; null for the task's default."},
    )
    train_on: Literal["outputs", "first", "last"] = field(
        default="outputs", metadata={"help": "Which outputs carry loss."}
    )
    layout: Layout = field(
        default="spectrum",
        metadata={"help": "How conversations are written: Spectrum turns, plain text, or chat turns."},
    )
    mixture_seed: int = field(
        default=0, metadata={"help": "Seed for building, sampling and dropping descriptions."}
    )
    long_sequences: Literal["cut", "split"] = field(
        default="cut", metadata={"help": "Drop turns that do not fit, or split them into further sequences."}
    )
    sampling: Literal["default", "paper"] = field(
        default="default", metadata={"help": "How much to take of each task: all, or the paper's numbers."}
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
    """Options around training: a new model, role tokens, saving, evaluating and resuming.

    Attributes:
        new_model: transformers configuration (with ``model_type``) of a model to train from scratch,
            instead of ``model_name_or_path``.
        new_vocab_size: Vocabulary size of the new model's tokenizer, which is trained on the mixture.
        new_vocab_tasks: Further tasks to train the new tokenizer on.
        copy_role_tokens_from: Instruct sibling whose role token embeddings replace the untrained ones of a
            base checkpoint; an empty string copies nothing. If the command line sets another
            ``model_name_or_path``, it must name that model's sibling too.
        save_dtype: Number type of the saved weights; null for that of the base checkpoint. Weights trained in
            float32 are rounded stochastically to bfloat16, which preserves small updates on average.
        evaluate: Measure the model and its instruct sibling before training, and the model after training, on
            the tiny world's held-out distributions.
        recorded: File among the bundled recipes with an earlier result of all-token tuning, which
            ``evaluate`` shows beside the others.
        resume_despite_changes: Resume a run although settings, versions or data differ; the differences are
            recorded in its history.
        overwrite: Replace the files of an earlier run in ``output_dir``.
    """

    new_model: dict[str, Any] | None = field(
        default=None, metadata={"help": "Configuration of a model to train from scratch."}
    )
    new_vocab_size: int = field(
        default=2048, metadata={"help": "Vocabulary size of a new model's tokenizer."}
    )
    new_vocab_tasks: list[str] | None = field(
        default=None, metadata={"help": "Further tasks to train a new tokenizer on."}
    )
    copy_role_tokens_from: str | None = field(
        default=None, metadata={"help": "Instruct sibling to copy role token embeddings from."}
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
        default=False, metadata={"help": "Resume a run although settings, versions or data differ."}
    )
    overwrite: bool = field(default=False, metadata={"help": "Replace an earlier run in output_dir."})
