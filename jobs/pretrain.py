"""Continued pretraining on raw text: masked language modelling and next sentences (Sun et al. 2019, section
5.3)."""

import logging
import math
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from tokenizers import Tokenizer
from torch import nn

from layerscope.jobs.artifacts.overlap import write_overlap
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.loading import load_for_pretraining, save_pretrained_further, snapshot_folder
from layerscope.jobs.encoders.pretraining_losses import PretrainingLosses, counts, rows_of
from layerscope.jobs.own_code import code_of
from layerscope.jobs.report.cautions import cautions_of
from layerscope.jobs.specs.recipe import Pretraining
from layerscope.jobs.specs.stages import PretrainSpec
from layerscope.jobs.text.pretraining.masking import Masker
from layerscope.jobs.text.pretraining.pretraining_examples import (
    Example,
    Passes,
    batches,
    blocks,
    collate,
    sentence_pairs,
)
from layerscope.jobs.text.pretraining.pretraining_texts import read_pretraining_texts
from layerscope.jobs.text.pretraining.sentence_pairs import NoPairsError
from layerscope.jobs.text.tokenising.auto_tokenizer import auto_tokenizer
from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer
from layerscope.jobs.training.learning_rates import groups_at_one_rate
from layerscope.jobs.training.loop import Course, Learner, Progress, TrainingLoop, points_of_curves, train
from layerscope.jobs.training.micro_batches import in_batches
from layerscope.jobs.training.optimisation import Batch, Optimisation
from layerscope.jobs.training.precision import computing_in
from layerscope.jobs.training.snapshots import SNAPSHOTS

logger = logging.getLogger(__name__)


def run(spec: PretrainSpec, context: StageContext) -> dict[str, float]:
    """Train to the end; returns the last losses in nats, a masked token or a pair.

    Raises:
        ValueError: the training diverged.
    """
    return train(begin(spec, context))


def begin(spec: PretrainSpec, context: StageContext) -> TrainingLoop:
    """One continued pretraining, advanced from point to point of its curves."""
    return TrainingLoop(ContinuedPretraining(spec, context), context)


class ContinuedPretraining(Learner):
    """An encoder with its pretraining heads, on the texts of some corpora."""

    optimisation: Optimisation[PretrainingLosses]

    def __init__(self, spec: PretrainSpec, context: StageContext) -> None:
        training = spec.training
        self._training, self._context = training, context
        self._start, self._code = context.inputs["encoder"], code_of(spec.encoder)
        set_seed(training.seed)
        texts = read_pretraining_texts(context.inputs)
        self._overlap = texts.overlap
        tokenizer = load_tokenizer(self._start, code=self._code)
        self._passes = _passes(texts.train, tokenizer, training)
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
        self._loss_names = ("mlm_loss", "next_sentence_loss") if training.next_sentence else ("mlm_loss",)
        self.course = Course(points_of_curves(training.steps), loss_names=self._loss_names)
        self.optimisation = Optimisation(
            model,
            groups,
            context,
            num_steps=training.steps,
            warmup=training.warmup,
            max_grad_norm=training.max_grad_norm,
            micro_batch_size=context.micro_batch_size,
        )
        self._metrics = _about(self._passes(0), texts.overlap["removed"], training)
        self._batches: Iterator[list[Example]] | None = None

    def begin(self) -> None:
        before = self._score_held_out()
        self._metrics["validation/mlm_loss_before"] = before["validation/mlm_loss"]
        self._context.log(0, **before)
        if self._context.is_main:
            for caution in cautions_of(self._metrics):
                logger.warning(caution)

    def next_batch(self, step: int) -> Batch:
        if self._batches is None:
            self._batches = batches(self._passes, batch_size=self._training.batch_size, first=step)
        batch = collate(next(self._batches), self._masker, batch=step)
        return Batch(
            range(len(batch["input_ids"])),
            lambda rows: self._losses(self.optimisation.model, rows_of(batch, rows)),
            lambda rows: counts(rows_of(batch, rows)),
        )

    def after_step(self, step: int) -> None:
        if step in self._training.snapshots and self._context.is_main:
            self._save_encoder(snapshot_folder(self._context.scratch / SNAPSHOTS, step))

    def refuse_divergence(self, step: int) -> None:
        raise ValueError(
            f"pretraining diverged by step {step}: the loss is not finite; "
            f"use a learning rate below {self._training.learning_rate:g}"
        )

    def state(self) -> dict[str, Any]:
        return {"metrics": self._metrics}

    def load_state(self, state: dict[str, Any]) -> None:
        self._metrics = state["metrics"]

    def finish(self, progress: Progress) -> dict[str, float]:
        after = self._score_held_out()
        if not math.isfinite(after["validation/mlm_loss"]):
            self.refuse_divergence(progress.step)
        self._context.log(progress.step, **after)
        if self._context.is_main:
            out, kept = self._context.out, self._context.scratch / SNAPSHOTS
            self._save_encoder(out)
            for step in self._training.snapshots:
                shutil.copytree(snapshot_folder(kept, step), snapshot_folder(out, step))
            write_overlap(out, self._overlap)
        size = self.optimisation.micro_batches.examples_at_once(self._training.batch_size)
        return self._metrics | progress.last_losses | after | {"train/micro_batch_size": size}

    def _losses(self, model: nn.Module, batch: Mapping[str, torch.Tensor]) -> torch.Tensor:
        device = self.optimisation.accelerator.device
        with computing_in(self._training.precision, device):
            losses_L: torch.Tensor = model({name: values.to(device) for name, values in batch.items()})
            return losses_L

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
        model = self.optimisation.module.eval()

        def score(rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
            part = rows_of(batch, rows)
            return self._losses(model, part).cpu(), counts(part)

        rows = range(len(batch["input_ids"]))
        size = self.optimisation.micro_batches.size or len(rows)
        with torch.inference_mode():
            return [scored for _, scored in in_batches(rows, score, size=size)]

    def _save_encoder(self, folder: Path) -> None:
        save_pretrained_further(self.optimisation.module.model, folder, start=self._start, code=self._code)


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
