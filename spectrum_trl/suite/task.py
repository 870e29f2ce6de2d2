"""The data model of Spectrum Suite: tasks, and the sequences of exchangeable samples they yield."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, TypedDict

from spectrum_trl.errors import UserError
from spectrum_trl.suite.fetching.unfinished import is_begun
from spectrum_trl.suite.source import Source

Role = Literal["description", "input", "output"]
Kind = Literal["individual", "population", "numeric", "generation", "annotation", "knowledge"]
Split = Literal["train", "test"]
# Name of the source of a task that a user declares.
OWN = "own"


class Message(TypedDict):
    """One turn: the role and its text."""

    role: Role
    content: str


class Build(Protocol):
    """What a source file writes: a generator of ``(sequence id, messages)``.

    ``data_dir`` is the folder of the real data (synthetic tasks ignore it), ``seed`` the only source of
    randomness, ``dropped`` counts every row left out, by reason.
    """

    def __call__(
        self, data_dir: Path, *, seed: int, dropped: Counter[str]
    ) -> Iterable[tuple[str, list[Message]]]:
        """Yield the sequences."""
        ...


@dataclass(frozen=True, kw_only=True)
class SampleSequence:
    """Samples of one distribution, in an order that carries no information.

    Attributes:
        messages: Description (at most one, first), inputs and outputs.
        task: Name of the task.
        source: Name of where the data come from.
        kind: What is sampled: answers of an individual or a population, numbers, texts, annotations, facts.
        split: ``train``, ``test`` for tasks held out from training.
        sequence_id: Stable name of this sequence inside its task.
    """

    messages: list[Message]
    task: str
    source: str
    kind: Kind
    split: Split
    sequence_id: str

    @property
    def n_outputs(self) -> int:
        """Number of samples."""
        return sum(message["role"] == "output" for message in self.messages)


@dataclass(frozen=True, kw_only=True)
class Task:
    """One entry of the catalogue.

    Attributes:
        name: Name in the catalogue, for example ``polis_vote``.
        source: Where the rows are from, or whose definition they are drawn by.
        kind: What is sampled.
        split: ``train``, ``test`` for tasks held out from training.
        build: Yields ``(sequence id, messages)``; every sequence carries its description.
        paper: The same with the paper's sampling numbers; None where `build` has them.
        files: Glob patterns below the data folder that must each match; empty for synthetic tasks.
        description_probability: Chance in [0, 1] that a sequence keeps its description where a
            recipe sets none.
        summary: What is sampled, in a few words.
    """

    name: str
    source: Source
    kind: Kind
    split: Split
    build: Build
    paper: Build | None = None
    files: tuple[str, ...] = ()
    description_probability: float = 0.6
    summary: str = ""

    @property
    def synthetic(self) -> bool:
        """Whether the rows are drawn from a seed, and no file is read."""
        return not self.files

    @property
    def own(self) -> bool:
        """Whether a user declared it, so that its name alone does not say what it is."""
        return self.source.name == OWN

    def paths(self, data_dir: Path) -> dict[str, Path]:
        """Return the files that the patterns reach, by their paths below the data folder.

        Raises:
            UserError: If a folder is where a file is expected.
        """
        found: dict[str, Path] = {}
        for pattern in self.files:
            for path in matches(pattern, data_dir=data_dir):
                if path.is_dir():
                    raise UserError(f"{path} is a folder; a file is expected there")
                name = str(path) if Path(pattern).is_absolute() else path.relative_to(data_dir).as_posix()
                found[name] = path
        return dict(sorted(found.items()))

    def missing(self, data_dir: Path | None) -> list[str]:
        """Return the patterns of ``files`` that match nothing below ``data_dir``; all without a folder."""
        return missing_files(self.files, data_dir=data_dir)

    def sequences(
        self, data_dir: Path, *, seed: int, dropped: Counter[str] | None = None, paper: bool = False
    ) -> Iterator[SampleSequence]:
        """Yield the task's sequences.

        Args:
            data_dir: Folder of the real data; not read by synthetic tasks.
            seed: The only source of randomness.
            dropped: Counter that receives the reasons of rows left out.
            paper: Whether to sample as many as the paper does, where that differs.
        """
        counts: Counter[str] = Counter() if dropped is None else dropped
        build = (self.paper or self.build) if paper else self.build
        for sequence_id, messages in build(data_dir, seed=seed, dropped=counts):
            yield SampleSequence(
                messages=messages,
                task=self.name,
                source=self.source.name,
                kind=self.kind,
                split=self.split,
                sequence_id=sequence_id,
            )


class Distribution(NamedTuple):
    """A discrete distribution over output texts.

    Attributes:
        pmf: Probability in [0, 1] of an output text (0 for a text outside the support).
        support: The texts with positive probability, or None where there are infinitely many.
    """

    pmf: Callable[[str], float]
    support: tuple[str, ...] | None


def missing_files(patterns: Iterable[str], *, data_dir: Path | None) -> list[str]:
    """Return the patterns that match nothing below ``data_dir``; all of them without a folder.

    What belongs to a fetch that was begun and not finished counts as not there.
    """
    return [
        each
        for each in patterns
        if data_dir is None or is_begun(each, data_dir=data_dir) or not matches(each, data_dir=data_dir)
    ]


def matches(pattern: str, *, data_dir: Path) -> list[Path]:
    """Return the files that a path or glob below the data folder, or an absolute path, reaches, sorted."""
    path = Path(pattern)
    if path.is_absolute():
        return [path] * path.is_file()
    if path.parts[:1] == (OWN,):
        # In a user's pattern ``*`` stands for slashes too, as on the Hub, whose client has a folder there.
        files = (data_dir / Path(*path.parts[:2])).rglob("*")
        below = ((each, each.relative_to(data_dir).as_posix()) for each in files if each.is_file())
        return sorted(each for each, name in below if "/.cache/" not in name and fnmatchcase(name, pattern))
    return sorted(data_dir.glob(pattern))
