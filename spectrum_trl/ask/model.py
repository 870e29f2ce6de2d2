"""A tuned model to ask: its probabilities, samples and distributions."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spectrum_trl.ask import candidates, samples, search
from spectrum_trl.ask.checks import check_decoding, check_loaded, check_numbers
from spectrum_trl.ask.loading import Quantization, load
from spectrum_trl.ask.questions import Example, Question, beginning, conversation, turns
from spectrum_trl.ask.results import Probabilities, Sample, Score, Token, answered, warn_of_low_coverage
from spectrum_trl.errors import UserError, refuse
from spectrum_trl.models.load import check_causal
from spectrum_trl.prompts.formats import Format, check_format
from spectrum_trl.prompts.scored import Prompts
from spectrum_trl.prompts.templates import family_of, name_of
from spectrum_trl.scoring.draw import FULL, Decoding
from spectrum_trl.scoring.forward import Prefix, read
from spectrum_trl.suite.task import Message

# What takes long to import, and most questions do not need, is imported where it is used.
if TYPE_CHECKING:
    import pandas as pd

    from spectrum_trl.ask.schemas import JsonProbabilities, JsonSamples, Schema
    from spectrum_trl.ask.survey import Survey

MAX_NEW_TOKENS = 256
# Texts drawn for each valid JSON value wanted, at most.
MOST_PER_VALUE = 10


class SpectrumModel:
    """A model and its prompts; every method asks one question, or ``questions``, a list of them.

    One question is given by keywords, see `Question`, and answered with a NamedTuple; several are answered
    with a DataFrame, whose column ``question`` is their index. Probabilities are those of whole answers, the
    end of their turn included.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        *,
        format: Format | None = None,
        given: Sequence[Message] = (),
    ) -> None:
        """Wrap a loaded model.

        Args:
            model: A causal language model, on any device.
            tokenizer: Its tokenizer.
            format: How questions are written; by default the Spectrum template that the model was tuned with.
                ``colon`` (plain text) suits pretrained models, ``chat`` instruct models.
            given: Messages that come before every question.

        Raises:
            UserError: If the model is none or not causal, or has no Spectrum template and no format is named.
        """
        check_loaded(model, tokenizer)
        check_causal(model.config, name=model.name_or_path or type(model).__name__)
        if format is None and family_of(tokenizer) is None:
            raise UserError(
                f"{name_of(tokenizer)} has no Spectrum template: it was not tuned with one; name a format: "
                'format="colon" for a pretrained model, format="chat" for an instruct model'
            )
        if format is not None:
            check_format(format)
        self.model, self.tokenizer, self.given = model, tokenizer, list(given)
        self.prompts = Prompts(tokenizer, fmt=format or "spectrum")
        # What `update` has read.
        self.prefix: Prefix | None = None

    @classmethod
    def from_pretrained(
        cls,
        name_or_path: str,
        *,
        adapter: str | None = None,
        dtype: Any = "auto",
        device: str = "auto",
        quantization: Quantization | None = None,
        format: Format | None = None,
        revision: str = "main",
    ) -> "SpectrumModel":
        """Load a model.

        Args:
            name_or_path: A folder, also of an adapter, a Hub id, or an embedded model's name.
            adapter: Folder or Hub id of a LoRA adapter for the model.
            dtype: Number type; ``auto`` is float32 on a CPU, and the checkpoint's elsewhere.
            device: ``auto`` is a GPU if there is one.
            quantization: ``4bit`` or ``8bit``, by bitsandbytes.
            format: See the class.
            revision: Revision of a Hub repository.

        Raises:
            UserError: If it cannot be loaded, or holds NaN or infinite weights.
        """
        model, tokenizer = load(
            name_or_path,
            adapter=adapter,
            dtype=dtype,
            device=device,
            quantization=quantization,
            revision=revision,
        )
        return cls(model, tokenizer, format=format)

    def sample(
        self,
        n: int = 8,
        *,
        seed: int = 0,
        max_new_tokens: int = MAX_NEW_TOKENS,
        temperature: float = 1.0,
        top_p: float = 1.0,
        questions: Sequence[Question] | None = None,
        **question: Unpack[Question],
    ) -> Any:
        """Sample outputs.

        Args:
            n: Number of samples of each question.
            seed: The i-th sample of a question depends on the question, the seed and i alone.
            max_new_tokens: Maximum number of tokens of a sample, its end included.
            temperature: Divisor of the logits; 1 keeps the model's distribution.
            top_p: Sample from the likeliest tokens that reach this probability; 1 keeps the distribution.
            questions: Several questions, instead of ``**question``.
            **question: One question.

        Returns:
            A list of `Sample`; for several questions, a DataFrame.
        """
        check_numbers(n=n, max_new_tokens=max_new_tokens)
        check_decoding(seed, temperature, top_p)
        decoding = Decoding(temperature, 0, top_p)
        settings: Any = {"seed": seed, "max_new_tokens": max_new_tokens, "decoding": decoding}
        settings["prefix"] = self.prefix
        contexts = [self.prompts.prompt(one) for one in self._asked(questions, question)]
        found = [samples.samples(self.model, self.prompts, one, n=n, **settings) for one in contexts]
        return answered(found, questions, columns=Sample._fields)

    def top_tokens(
        self, k: int = 10, *, questions: Sequence[Question] | None = None, **question: Unpack[Question]
    ) -> Any:
        """Return the likeliest first tokens of the next output.

        Args:
            k: Number of tokens.
            questions: Several questions, instead of ``**question``.
            **question: One question.

        Returns:
            A list of `Token`, the likeliest first; for several questions, a DataFrame.
        """
        check_numbers(k=k)
        contexts = [self.prompts.prompt(one) for one in self._asked(questions, question)]
        found = samples.top_tokens(self.model, self.prompts, contexts, k=k, prefix=self.prefix)
        return answered(found, questions, columns=Token._fields)

    def probabilities(
        self,
        answers: Sequence[Any],
        *,
        questions: Sequence[Question] | None = None,
        **question: Unpack[Question],
    ) -> Any:
        """Return the probability of each answer, the normalised one, and the coverage of all.

        Args:
            answers: Distinct answers; those that are no texts are written as JSON. With ``questions``, also
                one list of answers a question.
            questions: Several questions, instead of ``**question``.
            **question: One question.

        Returns:
            `Probabilities`; for several questions, a DataFrame.
        """
        several = [question] if questions is None else self._several(questions, question)
        own = questions is not None and all(isinstance(one, list | tuple) for one in answers)
        if own and len(answers) != len(several):
            raise UserError(
                f"answers: give one list for each question, {len(several)} and not {len(answers)}"
            )
        found = self.probabilities_of(answers if own else [answers] * len(several), several)
        warn_of_low_coverage([one.coverage for one in found])
        return answered(found, questions, columns=("answer", "probability", "normalised", "coverage"))

    def probabilities_of(
        self, answers: Sequence[Sequence[Any]], questions: Sequence[Question], **settings: Any
    ) -> list[Probabilities]:
        """Return the probabilities of each question's answers, without a warning of low coverage.

        Args:
            answers: One list for each question.
            questions: The questions.
            **settings: Further keywords of `candidates.probabilities`.
        """
        asked, settings = self._asked(questions, {}), {"prefix": self.prefix, **settings}
        checked = {id(one): candidates.checked_answers(one, self.prompts) for one in answers}
        texts = [checked[id(one)] for one in answers]
        return candidates.probabilities(self.model, self.prompts, asked, texts, **settings)

    def distribution(
        self,
        *,
        max_answers: int = 20,
        min_probability: float = 1e-3,
        max_new_tokens: int = MAX_NEW_TOKENS,
        questions: Sequence[Question] | None = None,
        **question: Unpack[Question],
    ) -> Any:
        """Find the likeliest whole answers, without a list of them.

        Args:
            max_answers: Number of answers at which the search ends.
            min_probability: In (0, 1): beginnings of answers that are less likely are not followed.
            max_new_tokens: Maximum number of tokens of an answer, its end included.
            questions: Several questions, instead of ``**question``.
            **question: One question.

        Returns:
            `Distribution`; for several questions, a DataFrame.
        """
        check_numbers(max_answers=max_answers, max_new_tokens=max_new_tokens)
        if not isinstance(min_probability, int | float) or not 0 < min_probability < 1:
            raise UserError(
                f"min_probability: expected a number between 0 and 1, but it is {min_probability!r}"
            )
        limits = search.Limits(max_answers, min_probability, max_new_tokens)
        found = [
            search.distribution(
                self.model, self.prompts, self.prompts.prompt(one), limits=limits, prefix=self.prefix
            )
            for one in self._asked(questions, question)
        ]
        return answered(found, questions, columns=("answer", "probability", "mass", "exhausted"))

    def probabilities_json(self, schema: "Schema", **question: Unpack[Question]) -> "JsonProbabilities":
        """Return the joint probability of every JSON value that a schema allows.

        Args:
            schema: A JSON Schema or a pydantic model with finitely many values.
            **question: The question.
        """
        from spectrum_trl.ask import schemas

        conversation(question, tokenizer=self.tokenizer, before=self.given)
        values = schemas.allowed_values(schema)
        return schemas.JsonProbabilities(tuple(values), self.probabilities(values, **question))

    def sample_json(
        self,
        schema: "Schema",
        n: int = 8,
        *,
        seed: int = 0,
        max_new_tokens: int = MAX_NEW_TOKENS,
        max_attempts: int | None = None,
        **question: Unpack[Question],
    ) -> "JsonSamples":
        """Sample JSON values that a schema allows; others are counted and drawn again.

        Args:
            schema: A JSON Schema or a pydantic model.
            n: Number of values.
            seed: As in `sample`.
            max_new_tokens: As in `sample`.
            max_attempts: Number of texts drawn at most; by default ten times ``n``.
            **question: The question.
        """
        from spectrum_trl.ask import schemas

        most = MOST_PER_VALUE * n if max_attempts is None else max_attempts
        check_numbers(n=n, max_new_tokens=max_new_tokens, max_attempts=most)
        check_decoding(seed, FULL.temperature, FULL.top_p)
        context = self.prompts.prompt(self._messages(question))
        # Read once for all rounds.
        ids = self.prompts.tokenizer(context, add_special_tokens=False)["input_ids"]
        settings: Any = {"seed": seed, "max_new_tokens": max_new_tokens, "decoding": FULL}
        settings["prefix"] = read(self.model, ids[:-1], after=self.prefix)
        parse = schemas.validator(schema)
        values, invalid, drawn = list[Any](), list[str](), 0
        while len(values) < n and drawn < most:
            more = min(n, most - drawn)
            for one in samples.samples(self.model, self.prompts, context, n=more, first=drawn, **settings):
                try:
                    values.append(parse(one.text))
                except ValueError:
                    invalid.append(one.text)
            drawn += more
        return schemas.JsonSamples(tuple(values[:n]), tuple(invalid))

    def score(self, outputs: Sequence[Example], **question: Unpack[Question]) -> list[Score]:
        """Return the log-probability of each output given those before it.

        Args:
            outputs: Outputs, or pairs of an input and its output.
            **question: What comes before them.
        """
        whole = self._followed(question, outputs)
        (found,) = candidates.scores(self.model, self.prompts, [whole], [len(outputs)], prefix=self.prefix)
        return found

    def survey(
        self,
        table: "pd.DataFrame",
        *,
        description: str | None = None,
        names: Mapping[str, str] | None = None,
        seed: int = 0,
    ) -> "Survey":
        """Ask survey questions for groups of people, and compare the shares with true ones.

        Args:
            table: See `survey.read_table`.
            description: Of the prompts; ``{group}`` stands for the group. By default `survey.DESCRIPTION`.
            names: Other names of the table's columns.
            seed: Of the intervals.
        """
        from spectrum_trl.ask import survey as surveys

        description = surveys.DESCRIPTION if description is None else description
        surveys.check_description(description)
        asked = surveys.read_table(table, names=names)
        found = surveys.survey(asked, model=self, description=description, seed=seed)
        warn_of_low_coverage(found.wide.coverage)
        return found

    def update(self, outputs: Sequence[Example], **question: Unpack[Question]) -> "SpectrumModel":
        """Return the model given more outputs: its answers are then those of the posterior predictive.

        Only the new outputs are read: keys and values of everything before are kept.

        Args:
            outputs: Outputs, or pairs of an input and its output.
            **question: What comes before them; a description only if none has been given.
        """
        given = self._followed(question, outputs)
        updated = SpectrumModel(self.model, self.tokenizer, format=self.prompts.fmt, given=given)
        updated.prefix = read(self.model, beginning(given, prompts=updated.prompts), after=self.prefix)
        return updated

    def check_answers(self, answers: Sequence[Any]) -> None:
        """Check that the model can give answers.

        Raises:
            UserError: With every problem.
        """
        candidates.checked_answers(answers, self.prompts)

    def check_questions(self, questions: Sequence[Question]) -> None:
        """Check questions before any is answered.

        Raises:
            UserError: With every problem, each with its question's index.
        """
        self._asked(questions, {})

    def _messages(self, question: Question) -> list[Message]:
        """Return the messages of a question."""
        found = conversation(question, tokenizer=self.tokenizer, before=self.given)
        return self._checked(found)

    def _followed(self, question: Question, outputs: Sequence[Example]) -> list[Message]:
        """Return the messages of a question with outputs after them."""
        before = conversation(question, tokenizer=self.tokenizer, before=self.given)
        return self._checked(conversation({}, tokenizer=self.tokenizer, before=[*before, *turns(outputs)]))

    def _checked(self, found: list[Message]) -> list[Message]:
        outputs = [one["content"] for one in found if one["role"] == "output"]
        if early := [text for text in outputs if candidates.ends_early(text, self.prompts)]:
            raise UserError(
                f"question: the output {early[0]!r:.80} holds {self.prompts.end!r}, which would end it"
            )
        return found

    def _several(self, questions: Sequence[Question], question: Question) -> Sequence[Question]:
        if question:
            raise UserError("give either questions, a list, or one question's parts")
        if isinstance(questions, str | Mapping) or not isinstance(questions, Sequence):
            raise UserError(f"questions: expected a list of questions, but it is {questions!r:.80}")
        return questions

    def _asked(self, questions: Sequence[Question] | None, question: Question) -> list[list[Message]]:
        """Return the messages of each question; problems of all are reported at once."""
        if questions is None:
            return [self._messages(question)]
        self._several(questions, question)
        found, problems = [], []
        for number, one in enumerate(questions):
            try:
                found.append(self._messages(one))
            except UserError as error:
                problems += [f"questions[{number}]: {problem}" for problem in error.problems]
        refuse(problems)
        return found
