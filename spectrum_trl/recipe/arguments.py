"""Fields of a recipe in addition to TRL's; the first sentence about each is its help on the command line."""

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
        tasks: Task names, globs or your own YAML files, each with options. A list, comma-separated text, or a
            mapping of each to ``{max_sequences: int, weight: float}`` (both optional) is converted to this
            type.
        train_files: Your own JSON Lines files, each with options. One ``{"messages": [...]}`` per line;
            written like ``tasks``, with ``description_probability`` as a third option.
        split: Splits that the names and globs may match. ``train`` or ``test`` (held out from training).
        max_sequences: Cap per task, unless the mapping sets one.
        description_probability: Probability to keep a description; null for the task's. In [0, 1].
        train_on: Which outputs carry loss. All that the template allows, or the first or last of them.
        layout: How conversations are written: Spectrum turns, text or chat. ``spectrum``, turns of the
            model's family; ``text``, documents without turns for pretraining, whose contents are
            concatenated; ``chat``, system, user and assistant turns in ChatML.
        mixture_seed: Seed for building, sampling and dropping descriptions.
        long_sequences: Drop turns that do not fit, or start further sequences. ``cut`` drops turns beyond
            ``max_length``, as the paper does; ``split`` starts further sequences with them, under the same
            description.
        sampling: How much to take of each task: all, or the paper's numbers. ``default`` takes all
            individuals and sequences that pass the filters, ``paper`` the paper's numbers.
        data_dir: Folder of the real data sets; null for $SPECTRUM_DATA. Or a folder that ``spectrum-trl data
            build`` wrote; without the environment variable, the cache folder.
        ignore_missing: Train without missing data sets instead of stopping. What is missing is printed.
    """

    tasks: dict[str, TaskOptions] = field(default_factory=dict)
    train_files: dict[str, FileOptions] = field(default_factory=dict)
    split: list[Split] = field(default_factory=lambda: ["train"])
    max_sequences: int | None = None
    description_probability: float | None = 0.8
    train_on: Literal["outputs", "first", "last"] = "outputs"
    layout: Layout = "spectrum"
    mixture_seed: int = 0
    long_sequences: Literal["cut", "split"] = "cut"
    sampling: Literal["default", "paper"] = "default"
    data_dir: str | None = None
    ignore_missing: bool = False

    def __post_init__(self) -> None:
        """Parse the choice of tasks and files."""
        self.tasks = TypeAdapter(TaskChoice).validate_python(self.tasks)
        self.train_files = TypeAdapter(FileChoice).validate_python(self.train_files)


@dataclass
class RunArguments:
    """Options around training: a new model, role tokens, saving, evaluating and resuming.

    Attributes:
        new_model: Configuration of a model to train from scratch. It is transformers' (with ``model_type``),
            and replaces ``model_name_or_path``.
        new_vocab_size: Vocabulary size of a new model's tokenizer. It is trained on the mixture.
        new_vocab_tasks: Further tasks to train the new tokenizer on.
        copy_role_tokens_from: Instruct sibling to copy role token embeddings from. They replace the untrained
            ones of a base checkpoint; an empty string copies nothing. If the command line sets another
            ``model_name_or_path``, it must name that model's sibling too.
        save_dtype: Number type of the saved weights; null for the base checkpoint's. Weights trained in
            float32 are rounded stochastically to bfloat16, which preserves small updates on average.
        evaluate: What to measure before and after training. ``tiny``: the model and its instruct sibling
            before, and the model after training, on the tiny world's held-out distributions.
        recorded: Recorded result of all-token tuning to show beside the others. A file among the bundled
            recipes.
        resume_despite_changes: Resume although settings, versions or data differ. The differences are
            recorded in the run's history.
        overwrite: Replace the files of an earlier run in the output folder.
    """

    new_model: dict[str, Any] | None = None
    new_vocab_size: int = 2048
    new_vocab_tasks: list[str] | None = None
    copy_role_tokens_from: str | None = None
    save_dtype: Literal["float32", "bfloat16", "float16"] | None = None
    evaluate: Literal["none", "tiny"] = "none"
    recorded: str | None = None
    resume_despite_changes: bool = False
    overwrite: bool = False
