"""Trains an encoder further on raw text: masked tokens, and next sentences (Sun et al. 2019, section 5.3)."""

import logging
import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from accelerate.utils import set_seed
from tokenizers import Tokenizer

from layerscope.jobs.artifacts.curves import cut_curves, forget_curves
from layerscope.jobs.artifacts.overlap import write_overlap
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.checkpoints import (
    load_checkpoint,
    restore_schedule,
    save_checkpoint,
    schedule_state,
)
from layerscope.jobs.encoders.learning_rates import groups_at_one_rate
from layerscope.jobs.encoders.loading import load_for_pretraining, save_pretrained_further, snapshot_folder
from layerscope.jobs.encoders.micro_batches import MicroBatches, in_batches
from layerscope.jobs.encoders.optimisation import follow_gradient, make_optimizer, make_schedule
from layerscope.jobs.encoders.precision import computing_in
from layerscope.jobs.encoders.pretraining_losses import PretrainingLosses, counts, rows_of
from layerscope.jobs.own_code import code_of
from layerscope.jobs.reporting.cautions import cautions_of
from layerscope.jobs.specs.recipe import Pretraining
from layerscope.jobs.specs.stages import PretrainSpec
from layerscope.jobs.text.auto_tokenizer import auto_tokenizer
from layerscope.jobs.text.masking import Masker
from layerscope.jobs.text.pretraining_examples import (
    Example,
    Passes,
    batches,
    blocks,
    collate,
    sentence_pairs,
)
from layerscope.jobs.text.pretraining_texts import read_pretraining_texts
from layerscope.jobs.text.sentence_pairs import NoPairsError
from layerscope.jobs.text.tokenizer import load_tokenizer

POINTS_LOGGED = 50
SNAPSHOTS = "snapshots"

logger = logging.getLogger(__name__)


def run(spec: PretrainSpec, context: StageContext) -> dict[str, float]:
    """Train to the end; returns the last losses in nats, a masked token or a pair."""
    training = FurtherTraining(spec, context)
    while not training.is_over:
        training.advance()
    return training.finish()


class FurtherTraining:
    """One further pretraining that can be advanced, saved, and resumed from scratch."""

    num_evaluations = 1
    """Early stopping has nothing to look at before the end."""

    def __init__(self, spec: PretrainSpec, context: StageContext) -> None:
        assert context.accelerator is not None
        training = spec.training
        self._training, self._context, self._accelerator = training, context, context.accelerator
        self._start, self._code = context.inputs["encoder"], code_of(spec.encoder)
        set_seed(training.seed)
        texts = read_pretraining_texts(context.inputs)
        self._overlap = texts.overlap
        tokenizer = load_tokenizer(self._start, code=self._code)
        passes = _passes(texts.train, tokenizer, training)
        self._validation = _held_out(texts.validation, tokenizer, training)
        self._masker = Masker(
            auto_tokenizer(self._start, code=self._code),
            masking=training.masking,
            probability=training.mask_probability,
            seed=training.seed,
        )
        model = PretrainingLosses(
            load_for_pretraining(self._start, next_sentence=training.next_sentence, code=self._code)
        )
        groups = groups_at_one_rate(
            model, learning_rate=training.learning_rate, weight_decay=training.weight_decay
        )
        optimizer = make_optimizer(groups)
        self._schedule = make_schedule(optimizer, num_steps=training.steps, warmup=training.warmup)
        self._model, self._optimizer = self._accelerator.prepare(model, optimizer)
        self._micro_batches = MicroBatches(
            context.micro_batch_size, accelerator=self._accelerator, model=self._model, say=context.say
        )
        self._metrics = _about(passes(0), texts.overlap["removed"], training)
        self._step = 0
        self._resume()
        self._batches = batches(passes, batch_size=training.batch_size, first=self._step)

    @property
    def is_over(self) -> bool:
        """Whether every step was taken."""
        return self._step >= self._training.steps

    def advance(self) -> dict[str, float]:
        """Train up to the next point of the curves.

        Raises:
            ValueError: the training diverged.
        """
        training = self._training
        if self._step == 0:
            self._begin()
        every = max(1, training.steps // POINTS_LOGGED)
        target = min((self._step // every + 1) * every, training.steps)
        losses = []
        self._model.train()
        while self._step < target:
            losses.append(self._take_step())
            if self._step in training.snapshots and self._context.is_main:
                self._save_encoder(snapshot_folder(self._context.scratch / SNAPSHOTS, self._step))
        mean_L = self._accelerator.reduce(torch.stack(losses).mean(0), reduction="mean").tolist()
        named = {f"train/{name}": value for name, value in zip(self._loss_names, mean_L, strict=True)}
        self._metrics |= named
        self._context.log(self._step, **named)
        return {"step": self._step}

    def save(self) -> None:
        """Write a checkpoint into the scratch folder; every process of a gang calls it."""
        save_checkpoint(
            self._accelerator,
            self._context.scratch,
            progress={
                "step": self._step,
                "metrics": self._metrics,
                "schedule": schedule_state(self._schedule),
                "micro_batch_size": self._micro_batches.size,
            },
            tensors={},
        )

    def finish(self) -> dict[str, float]:
        """Score the held-out texts, write the artifact, and return the summary."""
        after = self._score_held_out()
        if not math.isfinite(after["validation/mlm_loss"]):
            raise _diverged(self._training.steps, self._training)
        self._context.log(self._training.steps, **after)
        if self._context.is_main:
            out, kept = self._context.out, self._context.scratch / SNAPSHOTS
            self._save_encoder(out)
            for step in self._training.snapshots:
                shutil.copytree(snapshot_folder(kept, step), snapshot_folder(out, step))
            write_overlap(out, self._overlap)
        size = self._micro_batches.examples_at_once(self._training.batch_size)
        return self._metrics | after | {"train/micro_batch_size": size}

    @property
    def _loss_names(self) -> tuple[str, ...]:
        return ("mlm_loss", "next_sentence_loss") if self._training.next_sentence else ("mlm_loss",)

    def _begin(self) -> None:
        before = self._score_held_out()
        self._metrics["validation/mlm_loss_before"] = before["validation/mlm_loss"]
        self._context.log(0, **before)
        if self._context.is_main:
            for caution in cautions_of(self._metrics):
                logger.warning(caution)

    def _resume(self) -> None:
        scratch, is_main = self._context.scratch, self._context.is_main
        checkpoint = load_checkpoint(self._accelerator, scratch)
        if checkpoint is None:
            if is_main:
                forget_curves(scratch)
                shutil.rmtree(scratch / SNAPSHOTS, ignore_errors=True)
            return
        state, _ = checkpoint
        self._step, self._metrics = state["step"], state["metrics"]
        self._micro_batches.at_most(state.get("micro_batch_size"))
        restore_schedule(self._schedule, state["schedule"])
        if is_main:
            cut_curves(scratch, last_step=self._step)

    def _take_step(self) -> torch.Tensor:
        """One optimiser step; this process's part of the losses (L), whose average over processes are the
        means over the masked tokens, and over the pairs, of the batch."""
        batch = collate(next(self._batches), self._masker, batch=self._step)
        losses_L = self._micro_batches.backward(
            range(len(batch["input_ids"])),
            lambda rows: self._losses(self._model, rows_of(batch, rows)),
            weigh=lambda rows: counts(rows_of(batch, rows)),
        )
        finite = follow_gradient(
            accelerator=self._accelerator,
            model=self._model,
            optimizer=self._optimizer,
            schedule=self._schedule,
            max_grad_norm=self._training.max_grad_norm,
        )
        self._step += 1
        if not finite:
            raise _diverged(self._step, self._training)
        return losses_L

    def _losses(self, model: torch.nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        device = self._accelerator.device
        with computing_in(self._training.precision, device):
            return model({name: values.to(device) for name, values in batch.items()})

    def _score_held_out(self) -> dict[str, float]:
        """Mean losses on the validation texts, masked and paired the same way each time; 0 of no texts."""
        batch_size = self._training.batch_size
        examples = self._validation
        total_L, count_L = torch.zeros(len(self._loss_names)), torch.zeros(len(self._loss_names))
        for number, first in enumerate(range(0, len(examples), batch_size)):
            batch = collate(examples[first : first + batch_size], self._masker, batch=number)
            for losses_L, counts_L in self._scored(batch):
                total_L += losses_L * counts_L
                count_L += counts_L
        mean_L = (total_L / count_L.clamp(min=1)).tolist()
        return {f"validation/{name}": value for name, value in zip(self._loss_names, mean_L, strict=True)}

    def _scored(self, batch: Mapping[str, torch.Tensor]) -> list[tuple[torch.Tensor, torch.Tensor]]:
        """Mean losses (L) of the parts of a batch that fit into memory, and what each is a mean over (L)."""
        model = self._accelerator.unwrap_model(self._model).eval()

        def score(rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
            part = rows_of(batch, rows)
            return self._losses(model, part).cpu(), counts(part)

        rows = range(len(batch["input_ids"]))
        size = self._micro_batches.size or len(rows)
        with torch.inference_mode():
            return [scored for _, scored in in_batches(rows, score, size=size)]

    def _save_encoder(self, folder: Path) -> None:
        model = self._accelerator.unwrap_model(self._model).model
        save_pretrained_further(model, folder, start=self._start, code=self._code)


def _passes(texts: Sequence[str], tokenizer: Tokenizer, training: Pretraining) -> Passes:
    make = sentence_pairs if training.next_sentence else blocks
    return make(texts, tokenizer, block_length=training.block_length, seed=training.seed)


def _held_out(texts: Sequence[str], tokenizer: Tokenizer, training: Pretraining) -> list[Example]:
    """None where texts are few and give no pairs."""
    try:
        return _passes(texts, tokenizer, training)(0)
    except NoPairsError:
        return []


def _about(first_pass: Sequence[Example], num_removed: int, training: Pretraining) -> dict[str, float]:
    """Metrics that are known before the first step."""
    metrics = {
        "train/overlap_removed": float(num_removed),
        "train/blocks": float(len(first_pass)),
        "train/passes": training.steps * training.batch_size / len(first_pass),
    }
    if training.next_sentence:
        num_true = sum(bool(example.follows) for example in first_pass)
        metrics["train/next_sentence_share"] = num_true / len(first_pass)
    return metrics


def _diverged(step: int, training: Pretraining) -> ValueError:
    return ValueError(
        f"pretraining diverged by step {step}: the loss is not finite; "
        f"a learning rate below {training.learning_rate:g} would be right"
    )
