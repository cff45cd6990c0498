"""Trains a head on the stored token states of a frozen encoder; the best weights on validation are kept."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import set_seed
from safetensors.torch import save_file
from torch import nn

from layerscope.jobs.artifacts.curves import cut_curves, forget_curves
from layerscope.jobs.artifacts.token_states import TokenStates, read_dropout
from layerscope.jobs.artifacts.tokenised import Split, read_labels, read_split
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.checkpoints import (
    load_checkpoint,
    restore_schedule,
    save_checkpoint,
    schedule_state,
)
from layerscope.jobs.encoders.feature_heads import make_head
from layerscope.jobs.encoders.learning_rates import Group, groups_at_one_rate
from layerscope.jobs.encoders.logits import logits_of
from layerscope.jobs.encoders.optimisation import follow_gradient, make_optimizer, make_schedule
from layerscope.jobs.encoders.targets import scores_of
from layerscope.jobs.processes import share
from layerscope.jobs.specs.features import FeatureHeadSpec
from layerscope.jobs.specs.targets import SELECTING
from layerscope.jobs.text.batches import length_bucketed_batches
from layerscope.jobs.text.subsets import stratified_subset, subset_size


def run(spec: FeatureHeadSpec, context: StageContext) -> dict[str, float]:
    """Train to the end; returns the scores of the best weights on validation and test."""
    training = HeadTraining(spec, context)
    while not training.is_over:
        training.advance()
    return training.finish()


@dataclass
class _Progress:
    step: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    diverged: bool = False
    best_score: float = -math.inf
    best: dict[str, float] = field(default_factory=dict)


class HeadTraining:
    """One training of a head that can be advanced one evaluation at a time, saved, and resumed from scratch.

    One that diverges ends there, with the best weights so far, or those that it began with.
    """

    def __init__(self, spec: FeatureHeadSpec, context: StageContext) -> None:
        assert context.accelerator is not None
        self._spec, self._context, self._accelerator = spec, context, context.accelerator
        set_seed(spec.seed)
        data = context.inputs["data"]
        self._labels = read_split(data, "train").labels
        size = subset_size(spec.training.train_size, len(self._labels))
        self._rows = stratified_subset(self._labels, size=size, seed=spec.seed)
        self._states = self._states_of("train")
        self._model = make_head(
            spec,
            width=self._states.width,
            num_labels=len(read_labels(data)),
            dropout=read_dropout(context.inputs["features"]),
        )
        self._groups = groups_at_one_rate(
            self._model,
            learning_rate=spec.training.learning_rate,
            weight_decay=spec.training.weight_decay,
            name="head",
        )
        optimizer = make_optimizer(self._groups)
        self._steps_per_epoch = math.ceil(size / spec.training.batch_size)
        self.num_steps = spec.training.epochs * self._steps_per_epoch
        self.num_evaluations = min(spec.training.epochs * spec.training.evaluations_per_epoch, self.num_steps)
        self._schedule = make_schedule(optimizer, num_steps=self.num_steps, warmup=spec.training.warmup)
        self._prepared, self._optimizer = self._accelerator.prepare(self._model, optimizer)
        self._batches_of_epoch = lru_cache(maxsize=1)(self._batches)
        self._best_weights = self._weights()
        self._progress = _Progress()
        self._resume()

    @property
    def is_over(self) -> bool:
        """Whether every step was taken, or the training diverged."""
        return self._progress.diverged or self._progress.step >= self.num_steps

    def advance(self) -> dict[str, float]:
        """Train up to the next evaluation; returns its scores, the best so far, and the progress."""
        progress, started = self._progress, time.monotonic()
        self._train_to(round((progress.evaluations + 1) * self.num_steps / self.num_evaluations))
        scores = self._scores("validation")
        progress.diverged |= not math.isfinite(scores["validation/loss"])
        if progress.diverged:
            self._model.load_state_dict(self._best_weights)
            scores = self._scores("validation")
        score = scores[f"validation/{self._spec.selected_by or SELECTING['label']}"]
        if score > progress.best_score:
            progress.best_score, progress.best = score, scores
            self._best_weights = self._weights()
        progress.evaluations += 1
        progress.seconds += time.monotonic() - started
        self._context.log(progress.step, **scores)
        return scores | {
            "best/validation/score": progress.best_score,
            **{f"best/{name}": value for name, value in progress.best.items()},
            "evaluations": progress.evaluations,
            "step": progress.step,
        }

    def save(self) -> None:
        """Write a checkpoint into the scratch folder; every process of a gang calls it."""
        save_checkpoint(
            self._accelerator,
            self._context.scratch,
            progress={"run": vars(self._progress), "schedule": schedule_state(self._schedule)},
            tensors=self._best_weights,
        )

    def finish(self) -> dict[str, float]:
        """Score the best weights once on the test split, write the artifact, and return the summary."""
        self._model.load_state_dict(self._best_weights)
        split, logits_NK = self._scored("test")
        if self._context.is_main:
            _write(self._context.out, self._model, split, logits_NK, self._groups)
        progress = self._progress
        num_seen = progress.step * self._spec.training.batch_size
        return (
            progress.best
            | scores_of(split.labels, logits_NK, prefix="test")
            | {
                "train/seconds": progress.seconds,
                "train/steps": float(progress.step),
                "train/num_texts": float(len(self._rows)),
                "train/examples_per_second": num_seen / max(progress.seconds, 1e-9),
                "diverged": float(progress.diverged),
            }
        )

    def _resume(self) -> None:
        scratch = self._context.scratch
        checkpoint = load_checkpoint(self._accelerator, scratch)
        if checkpoint is None:
            if self._context.is_main:
                forget_curves(scratch)
            return
        state, self._best_weights = checkpoint
        self._progress = _Progress(**state["run"])
        restore_schedule(self._schedule, state["schedule"])
        if self._context.is_main:
            cut_curves(scratch, last_step=self._progress.step)

    def _train_to(self, target: int) -> None:
        progress, losses = self._progress, []
        while progress.step < target:
            epoch, index = divmod(progress.step, self._steps_per_epoch)
            loss = self._loss(self._batches_of_epoch(epoch)[index])
            progress.step += 1
            if not self._take(loss):
                progress.diverged = True
                return
            losses.append(loss.detach())
        self._log_losses(progress.step, losses)

    def _weights(self) -> dict[str, torch.Tensor]:
        """A copy on the CPU, held by every process: all of them score the best weights."""
        return {name: value.detach().cpu().clone() for name, value in self._model.state_dict().items()}

    def _batches(self, epoch: int) -> list[list[int]]:
        """Rows of the training split in the batches of one epoch."""
        batches = length_bucketed_batches(
            [self._states.lengths[row] for row in self._rows],
            batch_size=self._spec.training.batch_size,
            seed=self._spec.seed,
            epoch=epoch,
        )
        return [[self._rows[position] for position in batch] for batch in batches]

    def _loss(self, rows: Sequence[int]) -> torch.Tensor:
        """Mean loss of this process's share of a batch, weighted so that averages over processes are averages
        over the batch; a process without a share takes part with weight 0."""
        accelerator = self._accelerator
        self._model.train()
        own = share(rows, accelerator)
        weight = len(own) * accelerator.num_processes / len(rows)
        own = own or rows[:1]
        labels_B = torch.tensor([self._labels[row] for row in own], device=accelerator.device)
        logits_BK = self._logits(self._prepared, self._states, own)
        return nn.functional.cross_entropy(logits_BK, labels_B) * weight

    def _take(self, loss: torch.Tensor) -> bool:
        self._accelerator.backward(loss)
        return follow_gradient(
            accelerator=self._accelerator,
            model=self._prepared,
            optimizer=self._optimizer,
            schedule=self._schedule,
            max_grad_norm=self._spec.training.max_grad_norm,
        )

    def _log_losses(self, step: int, losses: Sequence[torch.Tensor]) -> None:
        mean = self._accelerator.reduce(torch.stack(list(losses)).mean(), reduction="mean").item()
        self._context.log(step, **{"train/loss": mean})

    def _scores(self, name: str) -> dict[str, float]:
        split, logits_NK = self._scored(name)
        return scores_of(split.labels, logits_NK, prefix=name)

    def _scored(self, name: str) -> tuple[Split, np.ndarray]:
        self._model.eval()
        split, states = read_split(self._context.inputs["data"], name), self._states_of(name)
        return split, logits_of(partial(self._logits, self._model, states), split, self._accelerator)

    def _states_of(self, name: str) -> TokenStates:
        return TokenStates(self._context.inputs["features"], name)

    def _logits(self, model: nn.Module, states: TokenStates, rows: Sequence[int]) -> torch.Tensor:
        states_BTD, mask_BT = states.padded(rows)
        return model(states_BTD.to(self._accelerator.device), mask_BT.to(self._accelerator.device))


def _write(out: Path, model: nn.Module, test: Split, logits_NK: np.ndarray, groups: Sequence[Group]) -> None:
    weights = {name: value.cpu().contiguous() for name, value in model.state_dict().items()}
    save_file(weights, out / "head.safetensors")
    predictions = {
        "ids": list(test.ids),
        "labels": list(test.labels),
        "predictions": logits_NK.argmax(axis=1).tolist(),
    }
    (out / "test_predictions.json").write_text(json.dumps(predictions), encoding="utf-8")
    about = [group.as_json() for group in groups]
    (out / "parameter_groups.json").write_text(json.dumps(about, indent=1), encoding="utf-8")
