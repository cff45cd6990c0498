"""Trains an encoder further on raw text by masked language modelling (Sun et al. 2019, section 5.3)."""

import math

import torch
from accelerate.utils import set_seed
from transformers import AutoTokenizer, DataCollatorForLanguageModeling

from jobs.context import CURVES, StageContext
from jobs.encoders.heads import MaskedLanguageModel
from jobs.encoders.learning_rates import Group
from jobs.encoders.loading import load_masked_language_model, save_encoder
from jobs.encoders.optimisation import make_optimizer, make_schedule, take_step
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
    collator = DataCollatorForLanguageModeling(
        tokenizer, mlm_probability=training.mask_probability, seed=training.seed + accelerator.process_index
    )
    before = _held_out_loss(model, held_out, tokenizer, training, accelerator.device)
    context.log(0, **{"validation/mlm_loss": before})
    every = max(1, training.steps // POINTS_LOGGED)
    losses: list[torch.Tensor] = []
    prepared.train()
    for step, rows in enumerate(_batches(len(blocks), training), start=1):
        own = rows[accelerator.process_index :: accelerator.num_processes]
        batch = collator([{"input_ids": blocks[row]} for row in own])
        loss = _loss(prepared, batch, accelerator.device)
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
            raise ValueError(
                f"pretraining diverged at step {step}: the gradient is not finite; "
                f"a learning rate below {training.learning_rate:g} would be right"
            )
        if step % every == 0 or step == training.steps:
            mean = accelerator.reduce(torch.stack(losses).mean(), reduction="mean").item()
            context.log(step, **{"train/mlm_loss": mean})
            losses = []
    after = _held_out_loss(model, held_out, tokenizer, training, accelerator.device)
    context.log(training.steps, **{"validation/mlm_loss": after})
    if context.is_main:
        encoder = getattr(model.model, model.model.base_model_prefix)
        save_encoder(encoder, context.out, tokenizer_from=source)
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


def _batches(num_blocks: int, training) -> list[list[int]]:
    """Rows of every step: shuffled passes over the blocks, laid end to end."""
    generator = torch.Generator().manual_seed(training.seed)
    needed = training.steps * training.batch_size
    rows: list[int] = []
    for _ in range(math.ceil(needed / num_blocks)):
        rows += torch.randperm(num_blocks, generator=generator).tolist()
    return [rows[first : first + training.batch_size] for first in range(0, needed, training.batch_size)]


def _loss(model: torch.nn.Module, batch: dict[str, torch.Tensor], device: torch.device) -> torch.Tensor:
    return model(
        batch["input_ids"].to(device), batch["attention_mask"].to(device), batch["labels"].to(device)
    )


def _held_out_loss(model, blocks, tokenizer, training, device) -> float:
    """Mean loss over the validation blocks with one fixed masking."""
    collator = DataCollatorForLanguageModeling(
        tokenizer, mlm_probability=training.mask_probability, seed=training.seed
    )
    model.eval()
    losses = []
    with torch.inference_mode():
        for first in range(0, len(blocks), training.batch_size):
            batch = collator([{"input_ids": block} for block in blocks[first : first + training.batch_size]])
            losses.append(_loss(model, batch, device).item())
    model.train()
    return sum(losses) / len(losses)
