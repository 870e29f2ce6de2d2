"""A model class for lm-evaluation-harness on our engine: the results of ``hf``, faster."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import torch
from lm_eval.api.instance import Instance
from lm_eval.api.model import hash_args
from lm_eval.api.registry import register_model
from lm_eval.models.huggingface import HFLM
from lm_eval.models.utils import has_bos_prefix
from tqdm import tqdm
from transformers import PreTrainedModel
from transformers.utils.peft_utils import ADAPTER_SAFE_WEIGHTS_NAME

from spectrum_trl.console import on_terminal
from spectrum_trl.errors import UserError, refuse
from spectrum_trl.models.load import base_of, load_config, load_model, model_path, stay_apart
from spectrum_trl.models.weights import check_weights, evaluation_device, evaluation_dtype
from spectrum_trl.scoring.draw import FULL, Limits, draw, greedy
from spectrum_trl.scoring.engine import TokenScores, score
from spectrum_trl.scoring.generation import Ending, Settings, Wanted, read_requests
from spectrum_trl.scoring.store import AnswerStore
from spectrum_trl.scoring.tree import Request

# Bounds the memory of token ids; large enough that requests of one row are seldom in different blocks.
REQUESTS_AT_ONCE = 8192
Answered = Callable[[int, str], None]
# Arguments of HFLM that would run a repository's code, read files other than safetensors, or change answers.
REFUSED = (
    "autogptq delta enable_thinking gguf_file gptqmodel mixed_precision_dtype softmax_dtype subfolder "
    "think_end_token tp_plan truncation trust_remote_code".split()
)


class CheckedModel:
    """The class that lm-eval loads models with: it refuses missing weights and code from a repository."""

    @staticmethod
    def from_pretrained(name: str, *, revision: str = "main", **settings: Any) -> PreTrainedModel:
        """Load a model; see `spectrum_trl.models.load.load_model`."""
        ours = {"trust_remote_code", "gguf_file", "subfolder", "use_safetensors"}
        return load_model(name, revision=revision, **{k: v for k, v in settings.items() if k not in ours})


@register_model("spectrum")
class SpectrumLM(HFLM):
    """Score and sample with the engine; work is split among processes as in lm-eval."""

    AUTO_MODEL_CLASS = CheckedModel

    def __init__(
        self,
        pretrained: str | PreTrainedModel,
        *,
        device: str | None = None,
        batch_size: int | str | None = None,
        dtype: str | torch.dtype | None = None,
        **settings: Any,
    ) -> None:
        """Load a model.

        Args:
            pretrained: A folder (also of an adapter), a Hub id, the tiny base's name, or a model.
            device: By default a GPU if there is one.
            batch_size: Ignored: batches are as large as memory allows, and no answer depends on their size.
            dtype: Number type; by default ``float32`` on a CPU, the checkpoint's elsewhere.
            **settings: Further arguments of lm-eval's ``hf``.

        Raises:
            UserError: If an argument is not supported, or the model cannot be loaded.
        """
        _refuse(settings)
        if isinstance(pretrained, str):
            pretrained = model_path(pretrained)
        device = evaluation_device(device)
        self._encoded: dict[str, list[int]] = {}
        dtype = dtype or evaluation_dtype(device)
        super().__init__(pretrained, device=device, dtype=dtype, batch_size=REQUESTS_AT_ONCE, **settings)
        check_weights(self.model, name=str(pretrained if isinstance(pretrained, str) else "the model"))
        if self.tokenizer.eos_token_id is None:
            raise UserError(
                f"the tokenizer of {pretrained} has no eos_token, which ends scored and sampled texts; set "
                "eos_token in its tokenizer_config.json"
            )
        if self.backend != "causal":
            raise UserError(f"model: {pretrained} is not a causal language model; use --model hf")
        config = getattr(self.model, "active_peft_config", None)
        if config is not None and config.is_prompt_learning:
            raise UserError("peft: adapters that add tokens to the prompt are not supported; use --model hf")
        if accelerator := getattr(self, "accelerator", None):
            # lm-eval itself splits work among processes only if each has a GPU.
            self._rank, self._world_size = accelerator.local_process_index, accelerator.num_processes

    def _create_model(self, *args: Any, **settings: Any) -> None:
        super()._create_model(*args, **settings)
        if settings.get("peft"):
            stay_apart(self._model.get_base_model())

    def _get_config(self, pretrained: str, *, revision: str = "main", **_: Any) -> None:
        base = base_of(pretrained, revision=revision)
        self._config = load_config(base, revision=revision if base == pretrained else "main")

    def loglikelihood(self, requests: list[Instance], disable_tqdm: bool = False) -> list[tuple[float, bool]]:
        """Score continuations; `TokenScores` describes what an answer holds besides its log-probability."""
        found: list[tuple[float, bool]] = []
        for start in range(0, len(requests), REQUESTS_AT_ONCE):
            block = requests[start : start + REQUESTS_AT_ONCE]
            cached = {n: answer for n, one in enumerate(block) if (answer := self._answered(one)) is not None}
            asked = [one for n, one in enumerate(block) if n not in cached]
            texts = [text for one in asked for text in (one.args[0].rstrip(), "".join(one.args))]
            self._encoded = self._encode_all(texts)
            quiet = disable_tqdm or not self._shows_progress()
            new = iter(super().loglikelihood(asked, disable_tqdm=quiet) if asked else ())
            found += [cached[n] if n in cached else next(new) for n in range(len(block))]
            if isinstance(self.cache_hook, AnswerStore):
                self.cache_hook.commit()
        self._encoded = {}
        return found

    def _answered(self, request: Instance) -> tuple[float, bool] | None:
        """Return a cached answer of an earlier run; lm-eval's own cache is consulted before this call."""
        store = self.cache_hook
        return store.find("loglikelihood", request.args) if isinstance(store, AnswerStore) else None

    def _encode_all(self, texts: Iterable[str]) -> dict[str, list[int]]:
        """Tokenize texts in one batch, each as `tok_encode` does."""
        plain = {} if self.add_bos_token is None else {"add_special_tokens": self.add_bos_token}
        first = self.tokenizer.decode(self.prefix_token_id)
        unique = dict.fromkeys(texts)
        begun = [text for text in unique if has_bos_prefix(text, first)]
        other = [text for text in unique if not has_bos_prefix(text, first)]
        found: dict[str, list[int]] = {}
        for some, settings in ((begun, {"add_special_tokens": False}), (other, plain)):
            if some:
                found |= zip(some, self.tokenizer(some, **settings)["input_ids"], strict=True)
        return found

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **settings: Any) -> list[int]:
        """Tokenize a text."""
        if add_special_tokens is None and string in self._encoded:
            return self._encoded[string]
        return super().tok_encode(string, add_special_tokens=add_special_tokens, **settings)

    def _loglikelihood_tokens(
        self, requests: Sequence[tuple[Any, list[int], list[int]]], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        bar = self._bar("loglikelihood", len(requests), disabled=disable_tqdm)

        def answered(number: int, scores: TokenScores) -> None:
            if requests[number][0] is not None:
                self.cache_hook.add_partial("loglikelihood", requests[number][0], scores)
            bar.update()

        # lm-eval moves a context of only white space into the answer, which leaves the context empty.
        contexts = [context or [self.prefix_token_id] for _, context, _ in requests]
        asked = [
            Request([*context, *answer], len(context))
            for context, (_, _, answer) in zip(contexts, requests, strict=True)
        ]
        with bar:
            return list(score(self.model, asked, limit=self._max_length, answered=answered))

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """Continue prompts, by sampling with one seed per request, or greedily.

        The n-th of equal requests always gets the same sample, whatever the other requests are. Samples are
        cached under their number; lm-eval itself does not distinguish them.
        """
        wanted = read_requests(requests, default_length=self.max_gen_toks)
        cached = {n: self._cached(requests[n], one) for n, one in enumerate(wanted)}
        found = {n: text for n, text in cached.items() if text is not None}
        groups: dict[Any, list[int]] = {}
        for n, one in enumerate(wanted):
            # Each prompt's samples are generated in a separate batch, so nothing else changes them.
            key = (one.settings, one.context if one.settings.decoding else None)
            groups.setdefault(key, []).append(n)
        bar = self._bar("generate_until", len(requests), disabled=disable_tqdm)

        def answered(number: int, text: str) -> None:
            found[number] = text
            self.cache_hook.add_partial("generate_until", self._key(requests[number], wanted[number]), text)
            bar.update()

        with bar:
            for (settings, context), numbers in groups.items():
                if all(n in found for n in numbers):
                    bar.update(len(numbers))
                elif context is None:
                    self._greedy(settings, {n: wanted[n].context for n in numbers}, answered=answered)
                else:
                    self._draw(settings, context, {n: wanted[n].seed for n in numbers}, answered=answered)
        if isinstance(self.cache_hook, AnswerStore):
            self.cache_hook.commit()
        return [found[n] for n in range(len(requests))]

    def _greedy(self, settings: Settings, contexts: dict[int, str], *, answered: Answered) -> None:
        ending, limits = self._limits(settings)
        numbers = list(contexts)
        greedy(
            self.model,
            [self.tok_encode(context) for context in contexts.values()],
            limits=limits,
            answered=lambda place, ids: answered(numbers[place], ending.cut(ids)),
        )

    def _draw(
        self, settings: Settings, context: str, seeds: dict[int, tuple[int, ...]], *, answered: Answered
    ) -> None:
        ending, limits = self._limits(settings)
        drawn = draw(
            self.model,
            self.tok_encode(context),
            # The seed that lm-eval gave to torch.
            seeds=[(torch.initial_seed(), *seed) for seed in seeds.values()],
            limits=limits,
            decoding=settings.decoding or FULL,
        )
        for n, ids in zip(seeds, drawn, strict=True):
            answered(n, ending.cut(ids))

    def _limits(self, settings: Settings) -> tuple[Ending, Limits]:
        end = self.tok_decode([self.eot_token_id], skip_special_tokens=False)
        ending = Ending(self.tokenizer, [*settings.stops, end], ends=self._ends())
        return ending, Limits(settings.max_new_tokens, ending.ends, ending.stopped, self._max_length)

    def _ends(self) -> list[int]:
        """Return the tokens that end a turn or a text, as in lm-eval's ``hf``."""
        settings: Any = self.model.generation_config
        more = settings.eos_token_id if settings is not None else None
        return [self.eot_token_id, *([more] if isinstance(more, int) else more or [])]

    def _key(self, request: Instance, wanted: Wanted) -> tuple[Any, ...]:
        if wanted.settings.decoding is None:
            return request.args
        return (*request.args, {"seed": [torch.initial_seed(), *wanted.seed]})

    def _cached(self, request: Instance, wanted: Wanted) -> str | None:
        """Return a cached sample of an earlier run; lm-eval caches greedy answers itself."""
        cached = self.cache_hook.dbdict
        if cached is None or (
            wanted.settings.decoding is None and not isinstance(self.cache_hook, AnswerStore)
        ):
            return None
        return cached.get(hash_args("generate_until", self._key(request, wanted)))

    def _bar(self, kind: str, total: int, *, disabled: bool) -> tqdm:
        quiet = disabled or not self._shows_progress()
        return tqdm(total=total, disable=quiet, desc=f"Running {kind} requests")

    def _shows_progress(self) -> bool:
        return self.rank == 0 and on_terminal()


def _refuse(settings: dict[str, Any]) -> None:
    problems = [
        f"model_args: {name} is not supported by --model spectrum; leave it out, or use --model hf"
        for name in REFUSED
        if settings.get(name)
    ]
    adapter = settings.get("peft")
    if adapter and Path(adapter).is_dir() and not Path(adapter, ADAPTER_SAFE_WEIGHTS_NAME).is_file():
        problems.append(f"peft: {adapter} holds no {ADAPTER_SAFE_WEIGHTS_NAME}, and no other file is read")
    refuse(problems)
