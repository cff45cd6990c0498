"""Trains an encoder further on raw text by masked language modelling (Sun et al. 2019, section 5.3)."""

import math
from collections.abc import Mapping, Sequence

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from torch import nn
from transformers import AutoTokenizer, DataCollatorForLanguageModeling, PreTrainedTokenizerBase

from jobs.context import CURVES, StageContext
from jobs.encoders.heads import MaskedLanguageModel
from jobs.encoders.learning_rates import Group
from jobs.encoders.loading import load_masked_language_model, save_encoder
from jobs.encoders.optimisation import make_optimizer, make_schedule, take_step
from jobs.processes import share
from jobs.specs.recipe import Pretraining
from jobs.specs.stages import PretrainSpec
from jobs.text.masking import pack_blocks
from jobs.text.prepared import read_split

POINTS_LOGGED = 50


def run(spec: PretrainSpec, context: StageContext) -> dict[str, float]:
    """Train for the given steps; returns the last losses in nats a masked token."""
    accelerator, training = context.accelerator, spec.training
    assert accelerator is not None
    if context.is_main:
        (context.scratch / CURVES).unlink(missing_ok=True)
    set_seed(training.seed)
    source = context.inputs["encoder"]
    tokenizer = AutoTokenizer.from_pretrained(source)
    corpus = context.inputs["corpus"]
    blocks, held_out = (
        pack_blocks(
            read_split(corpus, name).texts,
            block_length=training.block_length,
            cls_id=tokenizer.cls_token_id,
            sep_id=tokenizer.sep_token_id,
        )
        for name in ("train", "validation")
    )
    model = MaskedLanguageModel(load_masked_language_model(source))
    optimizer = make_optimizer(_groups(model, training.learning_rate, training.weight_decay))
    schedule = make_schedule(optimizer, num_steps=training.steps, warmup=training.warmup)
    prepared, optimizer = accelerator.prepare(model, optimizer)
    collator = _collator(tokenizer, training)
    before = _held_out_loss(model, held_out, tokenizer, training, accelerator.device)
    context.log(0, **{"validation/mlm_loss": before})
    every = max(1, training.steps // POINTS_LOGGED)
    losses: list[torch.Tensor] = []
    prepared.train()
    for step, rows in enumerate(_batches(len(blocks), training), start=1):
        loss = _shared_loss(prepared, _masked(blocks, rows, collator), accelerator)
        losses.append(loss.detach())
        finite = take_step(
            loss,
            accelerator=accelerator,
            model=prepared,
            optimizer=optimizer,
            schedule=schedule,
            max_grad_norm=training.max_grad_norm,
        )
        if not finite:
            raise _diverged(step, training)
        if step % every == 0 or step == training.steps:
            mean = accelerator.reduce(torch.stack(losses).mean(), reduction="mean").item()
            context.log(step, **{"train/mlm_loss": mean})
            losses = []
    after = _held_out_loss(model, held_out, tokenizer, training, accelerator.device)
    if not math.isfinite(after):
        raise _diverged(training.steps, training)
    context.log(training.steps, **{"validation/mlm_loss": after})
    if context.is_main:
        save_encoder(model.model.base_model, context.out, tokenizer_from=source)
    return {
        "train/mlm_loss": mean,
        "validation/mlm_loss": after,
        "validation/mlm_loss_before": before,
        "train/blocks": float(len(blocks)),
        "train/passes": training.steps * training.batch_size / len(blocks),
    }


def _groups(model: MaskedLanguageModel, learning_rate: float, weight_decay: float) -> list[Group]:
    parameters = list(model.parameters())
    matrices = tuple(parameter for parameter in parameters if parameter.ndim > 1)
    vectors = tuple(parameter for parameter in parameters if parameter.ndim <= 1)
    return [
        Group("encoder", matrices, learning_rate, weight_decay),
        Group("encoder, no weight decay", vectors, learning_rate, 0.0),
    ]


def _batches(num_blocks: int, training: Pretraining) -> list[list[int]]:
    """Rows of every step: shuffled passes over the blocks, laid end to end."""
    generator = torch.Generator().manual_seed(training.seed)
    needed = training.steps * training.batch_size
    rows: list[int] = []
    for _ in range(math.ceil(needed / num_blocks)):
        rows += torch.randperm(num_blocks, generator=generator).tolist()
    return [rows[first : first + training.batch_size] for first in range(0, needed, training.batch_size)]


def _collator(tokenizer: PreTrainedTokenizerBase, training: Pretraining) -> DataCollatorForLanguageModeling:
    """Chooses and replaces tokens at random, from the beginning of a stream that every process sees alike."""
    return DataCollatorForLanguageModeling(
        tokenizer, mlm_probability=training.mask_probability, seed=training.seed
    )


def _masked(
    blocks: Sequence[list[int]], rows: Sequence[int], collator: DataCollatorForLanguageModeling
) -> dict[str, torch.Tensor]:
    return collator([{"input_ids": blocks[row]} for row in rows])


def _shared_loss(
    model: nn.Module, batch: Mapping[str, torch.Tensor], accelerator: Accelerator
) -> torch.Tensor:
    """Mean loss of this process's share of a batch, weighted so that averages over processes are averages
    over the masked tokens of the batch; a process without a share takes part with weight 0."""
    own = {name: share(values, accelerator) for name, values in batch.items()}
    weight = _num_masked(own) * accelerator.num_processes / max(1, _num_masked(batch))
    if not len(own["input_ids"]):
        own = {name: values[:1] for name, values in batch.items()}
    return _loss(model, own, accelerator.device) * weight


def _num_masked(batch: Mapping[str, torch.Tensor]) -> int:
    return int((batch["labels"] != -100).sum())


def _loss(model: nn.Module, batch: Mapping[str, torch.Tensor], device: torch.device) -> torch.Tensor:
    return model(
        batch["input_ids"].to(device), batch["attention_mask"].to(device), batch["labels"].to(device)
    )


def _held_out_loss(
    model: nn.Module,
    blocks: Sequence[list[int]],
    tokenizer: PreTrainedTokenizerBase,
    training: Pretraining,
    device: torch.device,
) -> float:
    """Mean loss over the masked tokens of the validation blocks, masked the same way each time."""
    collator = _collator(tokenizer, training)
    model.eval()
    total, num_masked = 0.0, 0
    with torch.inference_mode():
        for first in range(0, len(blocks), training.batch_size):
            rows = range(first, min(first + training.batch_size, len(blocks)))
            batch = _masked(blocks, rows, collator)
            total += _loss(model, batch, device).item() * _num_masked(batch)
            num_masked += _num_masked(batch)
    model.train()
    return total / max(1, num_masked)


def _diverged(step: int, training: Pretraining) -> ValueError:
    return ValueError(
        f"pretraining diverged by step {step}: the loss is not finite; "
        f"a learning rate below {training.learning_rate:g} would be right"
    )
