"""Fields of a recipe in addition to TRL's; the first sentence about each is its help on the command line."""

import os
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter

from spectrum_trl.prompts.families import Layout
from spectrum_trl.strict.schema import shown
from spectrum_trl.suite.task import Split

# A weight repeats each sequence, or is the probability of keeping it; anything beyond these limits is a typo,
# and would fill the disk or leave no data.
SMALLEST_WEIGHT, LARGEST_WEIGHT = 0.001, 1000


def _no_switch(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"expected a number, but it is {shown(value)}")
    return value


_NoSwitch = BeforeValidator(_no_switch)


class TaskOptions(BaseModel):
    """Options of one task or glob.

    Attributes:
        max_sequences: Cap on the number of sequences, or None for the recipe's ``max_sequences``.
        weight: Number of copies of each sequence; a fractional part is the probability of one more copy.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
    max_sequences: Annotated[int | None, _NoSwitch] = Field(default=None, ge=1)
    weight: Annotated[float, _NoSwitch] = Field(
        default=1.0, ge=SMALLEST_WEIGHT, le=LARGEST_WEIGHT, allow_inf_nan=False
    )


class FileOptions(TaskOptions):
    """Options of one of the user's files; also the probability in [0, 1] that descriptions are kept."""

    description_probability: Annotated[float, _NoSwitch] = Field(default=1.0, ge=0, le=1)


def split_commas(value: Any) -> Any:
    """Split text at its commas; return anything else unchanged."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _named(value: Any) -> Any:
    """Convert a list or comma-separated text of names to a mapping of each to None."""
    if value is None:
        return {}
    names = split_commas(value)
    if not isinstance(names, list):
        return value
    if any(not isinstance(name, str) for name in names):
        raise ValueError("expected names to be text")
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"expected each name once, but {', '.join(repeated)} is repeated; set its weight")
    return dict.fromkeys(names)


def _different_files(chosen: dict[str, FileOptions]) -> dict[str, FileOptions]:
    """Reject two names for the same file, which would be trained on twice."""
    names: dict[str, str] = {}
    for name in chosen:
        if (other := names.setdefault(os.path.realpath(name), name)) != name:
            raise ValueError(f"expected each file once, but {name} is the same as {other}; set its weight")
    return chosen


_Defaults = BeforeValidator(lambda value: {} if value is None else value)
TaskChoice = Annotated[dict[str, Annotated[TaskOptions, _Defaults]], BeforeValidator(_named)]
FileChoice = Annotated[
    dict[str, Annotated[FileOptions, _Defaults]], BeforeValidator(_named), AfterValidator(_different_files)
]


@dataclass
class DataArguments:
    """The data mixture and its options.

    Attributes:
        tasks: Task names, globs or your own YAML files, each with options. A list, comma-separated text, or a
            mapping of each to ``{max_sequences: int, weight: float}`` (both optional) is converted to this
            type. With ``!`` before it, a name or glob leaves out tasks that stand before it.
        train_files: Your own JSON Lines files, each with options. One ``{"messages": [...]}`` per line;
            written like ``tasks``, with ``description_probability`` as a third option.
        split: Splits that the names and globs may match. ``train`` or ``test`` (held out from training).
        max_sequences: Cap per task, unless the mapping sets one.
        description_probability: Probability to keep a description; null for the task's. In [0, 1].
        train_on: Which outputs carry loss. All that the template allows, or the first or last of them.
        layout: How conversations are written: Spectrum turns, text or chat. ``spectrum``, turns of the
            model's family; ``text``, documents without turns for pretraining, whose contents are
            concatenated; ``chat``, system, user and assistant turns in ChatML.
        held_out_share: Share of individuals and questions to hold out of training. In [0, 0.5]; by name, so
            an evaluation with the same ``held_out_share`` finds them. Pooled rows have no individuals, and
            synthetic tasks draw anew.
        eval_tasks: Held-out tasks whose loss is measured while training, each with options. Written like
            ``tasks``; globs match tasks of the split ``test``.
        eval_max_sequences: Cap per task on the sequences whose loss is measured while training.
        mixture_seed: Seed for building, sampling and dropping descriptions.
        long_sequences: Drop turns that do not fit, or start further sequences. ``cut`` drops turns beyond
            ``max_length``, as the paper does; ``split`` starts further sequences with them, under the same
            description.
        sampling: How much to take of each task: all, or the paper's numbers. ``default`` takes all
            individuals and sequences that pass the filters, ``paper`` the paper's numbers.
        data_dir: Folder of the real data sets; null for $SPECTRUM_DATA. Or a folder that ``spectrum-trl data
            build`` wrote; without the environment variable, the cache folder.
        leave_out_evaluated: Leave out lists of the exact answers that diversity is evaluated on. They are
            counted as dropped; otherwise figures of such an evaluation say that its answers were trained on.
        ignore_missing: Train without missing data sets instead of stopping. What is missing is printed.
    """

    tasks: dict[str, TaskOptions] = field(default_factory=dict)
    train_files: dict[str, FileOptions] = field(default_factory=dict)
    split: list[Split] = field(default_factory=lambda: ["train"])
    max_sequences: int | None = None
    description_probability: float | None = 0.8
    train_on: Literal["outputs", "first", "last"] = "outputs"
    layout: Layout = "spectrum"
    held_out_share: float = 0.0
    eval_tasks: dict[str, TaskOptions] = field(default_factory=dict)
    eval_max_sequences: int = 20
    mixture_seed: int = 0
    long_sequences: Literal["cut", "split"] = "cut"
    sampling: Literal["default", "paper"] = "default"
    data_dir: str | None = None
    leave_out_evaluated: bool = False
    ignore_missing: bool = False

    def __post_init__(self) -> None:
        """Parse the choice of tasks and files."""
        self.tasks = TypeAdapter(TaskChoice).validate_python(self.tasks)
        self.eval_tasks = TypeAdapter(TaskChoice).validate_python(self.eval_tasks)
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
        initialise_role_tokens: How to initialise the role tokens of a base checkpoint without a sibling. With
            ``line_breaks``, the one that begins a turn starts as an empty line, the others as a line break.
        trained_embeddings: Rows of the embedding and output layer to train, of those that are trained at all.
            ``role_tokens`` leaves every other row as it was, so less is forgotten.
        save_dtype: Number type of the saved weights; null for the base checkpoint's. Weights trained in
            float32 are rounded stochastically to bfloat16, which preserves small updates on average.
        evaluate: What to measure before and after training. ``tiny``: the model and its instruct sibling
            before, and the model after training, on the tiny world's held-out distributions.
        early_stopping_patience: Number of evaluations without a better held-out loss after which training
            ends. Null for never; needs ``load_best_model_at_end``.
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
    initialise_role_tokens: Literal["none", "line_breaks"] = "none"
    trained_embeddings: Literal["all", "role_tokens"] = "all"
    save_dtype: Literal["float32", "bfloat16", "float16"] | None = None
    evaluate: Literal["none", "tiny"] = "none"
    early_stopping_patience: int | None = None
    recorded: str | None = None
    resume_despite_changes: bool = False
    overwrite: bool = False
