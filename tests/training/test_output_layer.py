"""On a CPU only labelled positions are scored, with the losses and gradients that TRL's way gives."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from peft import LoraConfig
from torch import Tensor
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedModel
from trl import SFTConfig, SFTTrainer

from spectrum_trl.models.load import load_tokenizer
from spectrum_trl.paths import TINY_BASE_NAME
from spectrum_trl.training import output_layer
from spectrum_trl.training.output_layer import score_labelled_positions
from tests.training.test_packing import SIZES


@pytest.fixture
def tokenizer() -> Any:
    return load_tokenizer(TINY_BASE_NAME)


def model_of(family: str, *, seed: int, vocabulary: int, **settings: Any) -> PreTrainedModel:
    torch.manual_seed(seed)
    config = AutoConfig.for_model(family, **{**SIZES, "vocab_size": vocabulary, **settings})
    return AutoModelForCausalLM.from_config(config)


def trainer_of(model: PreTrainedModel, tokenizer: Any, folder: Path, **settings: Any) -> SFTTrainer:
    peft = settings.pop("peft_config", None)
    args = SFTConfig(output_dir=str(folder), use_cpu=True, bf16=False, report_to="none", **settings)
    rows = Dataset.from_dict({"input_ids": [[1, 2, 3]], "assistant_masks": [[0, 1, 1]]})
    return SFTTrainer(model, args, train_dataset=rows, processing_class=tokenizer, peft_config=peft)


def batch(vocabulary: int) -> dict[str, Tensor]:
    drawn = torch.Generator().manual_seed(1)
    ids = torch.randint(3, vocabulary, (3, 17), generator=drawn)
    labels = torch.where(torch.rand((3, 17), generator=drawn) < 0.4, ids, -100)
    mask = torch.ones_like(ids)
    ids[2, 9:], mask[2, 9:], labels[2, 9:] = 0, 0, -100
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def step(trainer: SFTTrainer, inputs: dict[str, Tensor], *, bf16: bool = False) -> tuple[Any, ...]:
    """Return loss, metrics, and all gradients of one batch."""
    model: Any = trainer.model
    model.zero_grad()
    trainer._metrics["train"].clear()
    model.train()
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        loss = trainer.compute_loss(model, dict(inputs), num_items_in_batch=torch.tensor(11))
    loss.backward()
    metrics = {name: trainer._metrics["train"][name] for name in ("entropy", "mean_token_accuracy")}
    return loss.detach(), metrics, {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("peft", [None, LoraConfig(r=2, target_modules=["q_proj"])], ids=["full", "LoRA"])
@pytest.mark.parametrize("few", [False, True], ids=["at once", "in parts"])
@pytest.mark.parametrize(
    ("family", "tied"), [("qwen3", True), ("qwen3", False), ("gemma3_text", True), ("llama", False)]
)
def test_losses_metrics_and_gradients_are_those_of_trl(
    tokenizer: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    family: str,
    tied: bool,
    few: bool,
    peft: Any,
) -> None:
    if few:
        monkeypatch.setattr(output_layer, "MOST_LOGITS", 4 * len(tokenizer))
    size = len(tokenizer)
    model = model_of(family, seed=0, vocabulary=size, tie_word_embeddings=tied)
    trainer = trainer_of(model, tokenizer, tmp_path, peft_config=peft)
    loss, metrics, gradients = step(trainer, batch(size))
    score_labelled_positions(trainer)
    ours, our_metrics, our_gradients = step(trainer, batch(size))
    torch.testing.assert_close(ours, loss, atol=1e-6, rtol=1e-6)
    for name, values in metrics.items():
        assert our_metrics[name] == pytest.approx(values, rel=1e-5)
    assert our_gradients.keys() == gradients.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(our_gradients[name], gradient, atol=1e-6, rtol=1e-4)


def test_loss_and_gradient_are_those_of_pytorch_in_bfloat16_too(tokenizer: Any, tmp_path: Path) -> None:
    size = len(tokenizer)
    model = model_of("llama", seed=0, vocabulary=size)
    inputs = batch(size)
    model.zero_grad()
    labels = inputs["labels"]
    logits = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
    exact = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), reduction="sum"
    )
    (exact / 11).backward()
    expected = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    trainer = trainer_of(model, tokenizer, tmp_path)
    score_labelled_positions(trainer)
    loss, _, gradients = step(trainer, inputs)
    torch.testing.assert_close(loss, exact.detach() / 11)
    for name, gradient in expected.items():
        torch.testing.assert_close(gradients[name], gradient, atol=1e-6, rtol=1e-4)
    low, _, low_gradients = step(trainer, inputs, bf16=True)
    assert float(low) == pytest.approx(float(loss), rel=0.01)
    for name, gradient in expected.items():
        assert float((low_gradients[name] - gradient).norm() / gradient.norm()) < 0.03, name


def test_a_batch_without_labels_has_loss_zero_and_gradient_zero(tokenizer: Any, tmp_path: Path) -> None:
    trainer = trainer_of(model_of("llama", seed=0, vocabulary=len(tokenizer)), tokenizer, tmp_path)
    score_labelled_positions(trainer)
    inputs = batch(len(tokenizer))
    inputs["labels"] = torch.full_like(inputs["labels"], -100)
    loss, _, gradients = step(trainer, inputs)
    assert float(loss) == 0 and all(not gradient.any() for gradient in gradients.values())


def test_logits_are_computed_at_labelled_positions_alone(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = trainer_of(model_of("llama", seed=0, vocabulary=len(tokenizer)), tokenizer, tmp_path)
    score_labelled_positions(trainer)
    seen: list[int] = []
    inner = torch.log_softmax

    def watched(logits: Tensor, dim: int) -> Tensor:
        seen.append(len(logits))
        return inner(logits, dim)

    monkeypatch.setattr(torch, "log_softmax", watched)
    inputs = batch(len(tokenizer))
    step(trainer, inputs)
    assert seen == [int((inputs["labels"][:, 1:] != -100).sum())]


@pytest.mark.parametrize(
    ("family", "settings", "arguments"),
    [
        ("gemma2", {"final_logit_softcapping": 30.0}, {}),
        ("granite", {"logits_scaling": 2.0}, {}),
        ("llama", {}, {"loss_type": "dft"}),
    ],
)
def test_other_losses_and_scaled_logits_stay_with_trl(
    tokenizer: Any, tmp_path: Path, family: str, settings: dict[str, float], arguments: dict[str, str]
) -> None:
    model = model_of(family, seed=0, vocabulary=len(tokenizer), **settings)
    trainer = trainer_of(model, tokenizer, tmp_path, **arguments)
    theirs = model.forward
    score_labelled_positions(trainer)
    assert model.forward == theirs
