"""The output layer's log-probabilities on a CPU, at labelled positions alone and in few passes."""

import types
from functools import wraps
from typing import Any, cast

import torch
from torch import Tensor
from transformers import PreTrainedModel
from trl import SFTConfig, SFTTrainer
from trl.trainer.utils import FusedCausalLMOutput

# Logits held at a time: half a gigabyte in single precision, twice.
MOST_LOGITS = 2**27
# Factors and limits of logits by which some architectures differ; TRL knows which of them applies.
SCALED = (
    "logit_scale",
    "output_multiplier",
    "lm_head_multiplier",
    "logits_scaling",
    "final_logit_softcapping",
)


def score_labelled_positions(trainer: SFTTrainer) -> None:
    """Make a trainer on a CPU compute logits only where a label is, as TRL does on GPUs.

    Where there is no Triton kernel, TRL 1.16 scores every position, in some twenty passes over the logits and
    with products in single precision: most of the time of a small model with a large vocabulary
    (https://github.com/huggingface/trl/issues/7244). Losses and gradients are the same. Models whose logits
    are scaled, capped, biased or sharded, mixtures of experts, and losses other than ``nll`` keep TRL's way.
    """
    args = cast(SFTConfig, trainer.args)
    model: Any = trainer.model
    model = getattr(model, "get_base_model", lambda: model)()
    config = model.config.get_text_config()
    special = any(getattr(config, name, None) is not None for name in SCALED) or trainer.aux_loss_enabled
    if (
        args.device.type != "cpu"
        or args.loss_type != "nll"
        or trainer.is_fsdp_enabled
        or special
        or getattr(model.get_output_embeddings(), "bias", None) is not None
    ):
        return
    theirs = model.forward

    # `generate` validates its arguments against this signature.
    @wraps(theirs)
    def forward(
        self: PreTrainedModel,
        *args: Any,
        fused_lm_head: bool = False,
        labels: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        if not fused_lm_head or labels is None:
            return theirs(*args, fused_lm_head=fused_lm_head, labels=labels, **kwargs)
        kwargs.pop("num_items_in_batch", None)
        kwargs["use_cache"] = False
        hidden = self.base_model(*args, **kwargs).last_hidden_state[:, :-1]
        labels = labels[:, 1:]
        mask = labels != -100
        weight = self.get_output_embeddings().weight
        found = _LogProbs.apply(hidden[mask], weight, labels[mask], torch.is_grad_enabled())
        log_probs, entropy, is_top1 = (one.new_zeros(mask.shape).masked_scatter(mask, one) for one in found)
        loss = -log_probs.sum() / mask.sum().clamp(min=1)
        return FusedCausalLMOutput(
            loss=loss, log_probs=log_probs, entropy=entropy, is_top1=is_top1, label_mask=mask
        )

    model.forward = types.MethodType(forward, model)


class _LogProbs(torch.autograd.Function):
    """Log-probability of each target, with the entropy and whether the target is the likeliest token.

    The gradients are computed with the probabilities, for a loss of which each target has the same share, as
    the mean negative log-likelihood.
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, learns: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        dtype = torch.get_autocast_dtype("cpu") if torch.is_autocast_enabled("cpu") else hidden.dtype
        low_hidden, low_weight = hidden.to(dtype), weight.to(dtype)
        of_hidden, of_weight = (learns and needed for needed in ctx.needs_input_grad[:2])
        grad_hidden = torch.zeros_like(hidden, dtype=torch.float32) if of_hidden else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if of_weight else None
        parts = []
        size = max(1, MOST_LOGITS // len(weight))
        for start in range(0, max(1, len(hidden)), size):
            rows = slice(start, start + size)
            target = targets[rows, None]
            log_probs = torch.log_softmax((low_hidden[rows] @ low_weight.T).float(), -1)
            chosen, likeliest = log_probs.gather(-1, target)[:, 0], log_probs.argmax(-1, keepdim=True)
            probs = log_probs.exp()
            parts.append((chosen, -torch.linalg.vecdot(probs, log_probs), (likeliest == target)[:, 0]))
            del log_probs
            if learns:
                # The derivative by each logit is 1 at the target, less the probability.
                one = probs.new_ones(target.shape)
                derivative = probs.neg_().scatter_add_(-1, target, one).to(dtype)
            if grad_hidden is not None:
                grad_hidden[rows] = derivative @ low_weight
            if grad_weight is not None:
                grad_weight += derivative.T @ low_hidden[rows]
        ctx.save_for_backward(grad_hidden, grad_weight)
        ctx.dtypes = hidden.dtype, weight.dtype
        log_probs, entropy, is_top1 = (torch.cat(one) for one in zip(*parts, strict=True))
        ctx.mark_non_differentiable(entropy, is_top1)
        return log_probs, entropy, is_top1

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Any) -> tuple[Tensor | None, Tensor | None, None, None]:
        share = grad.max() if len(grad) else grad.sum()
        # A NaN equals nothing; the run stops at it with a message.
        # Unlike `assert`, it needs no values: `spectrum-trl doctor` runs this on tensors that have none.
        same = (grad == share).all() | share.isnan()
        torch._assert_async(same, "each target must have the same share of the loss")
        grad_hidden, grad_weight = (
            None if one is None else one.mul_(share).to(dtype)
            for one, dtype in zip(ctx.saved_tensors, ctx.dtypes, strict=True)
        )
        return grad_hidden, grad_weight, None, None
