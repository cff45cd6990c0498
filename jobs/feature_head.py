"""Trains a head on the stored token states of a frozen encoder; the best weights on validation are kept."""

import copy
import json
import math
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from accelerate.utils import set_seed
from safetensors.torch import save_file
from torch import nn

from jobs.context import CURVES, StageContext
from jobs.encoders.feature_heads import make_head
from jobs.encoders.learning_rates import Group, groups_at_one_rate
from jobs.encoders.logits import logits_of
from jobs.encoders.optimisation import follow_gradient, make_optimizer, make_schedule
from jobs.encoders.targets import scores_of
from jobs.encoders.token_files import ABOUT, TokenStates
from jobs.processes import share
from jobs.specs.features import FeatureHeadSpec
from jobs.text.batches import length_bucketed_batches
from jobs.text.prepared import Split, read_labels, read_split
from jobs.text.subsets import stratified_subset, subset_size


def run(spec: FeatureHeadSpec, context: StageContext) -> dict[str, float]:
    """Train to the end; returns the scores of the best weights on validation and test.

    A training that diverges ends there, with the best weights so far, or those that it began with.
    """
    if context.is_main:
        (context.scratch / CURVES).unlink(missing_ok=True)
    set_seed(spec.seed)
    training = _HeadTraining(spec, context)
    return training.run()


class _HeadTraining:
    def __init__(self, spec: FeatureHeadSpec, context: StageContext) -> None:
        assert context.accelerator is not None
        self._spec, self._context, self._accelerator = spec, context, context.accelerator
        data = context.inputs["data"]
        self._labels = read_split(data, "train").labels
        size = subset_size(spec.training.train_size, len(self._labels))
        self._rows = stratified_subset(self._labels, size=size, seed=spec.seed)
        self._states = self._states_of("train")
        self._model = make_head(
            spec,
            width=self._states.width,
            num_labels=len(read_labels(data)),
            dropout=json.loads((context.inputs["features"] / ABOUT).read_text(encoding="utf-8"))["dropout"],
        )
        self._groups = groups_at_one_rate(
            self._model,
            learning_rate=spec.training.learning_rate,
            weight_decay=spec.training.weight_decay,
            name="head",
        )
        optimizer = make_optimizer(self._groups)
        self._steps_per_epoch = math.ceil(size / spec.training.batch_size)
        self._num_steps = spec.training.epochs * self._steps_per_epoch
        self._schedule = make_schedule(optimizer, num_steps=self._num_steps, warmup=spec.training.warmup)
        self._prepared, self._optimizer = self._accelerator.prepare(self._model, optimizer)

    def run(self) -> dict[str, float]:
        started, step, diverged = time.monotonic(), 0, False
        best_weights, best = copy.deepcopy(self._model.state_dict()), self._scores("validation")
        is_first = True
        batches: Mapping[int, list[list[int]]] = {}
        for target in self._evaluated_at():
            losses: list[torch.Tensor] = []
            while step < target and not diverged:
                epoch, index = divmod(step, self._steps_per_epoch)
                if epoch not in batches:
                    batches = {epoch: self._batches(epoch)}
                loss = self._loss(batches[epoch][index])
                diverged = not self._take(loss)
                losses.append(loss.detach())
                step += 1
            if diverged:
                break
            self._log_losses(step, losses)
            scores = self._scores("validation")
            self._context.log(step, **scores)
            if is_first or scores["validation/accuracy"] > best["validation/accuracy"]:
                best_weights, best, is_first = copy.deepcopy(self._model.state_dict()), scores, False
        self._model.load_state_dict(best_weights)
        seconds = time.monotonic() - started
        return (
            best
            | self._finish()
            | {
                "train/seconds": seconds,
                "train/steps": float(step),
                "train/num_texts": float(len(self._rows)),
                "train/examples_per_second": step * self._spec.training.batch_size / max(seconds, 1e-9),
                "diverged": float(diverged),
            }
        )

    def _evaluated_at(self) -> list[int]:
        training = self._spec.training
        number = min(training.epochs * training.evaluations_per_epoch, self._num_steps)
        return [round((position + 1) * self._num_steps / number) for position in range(number)]

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
        return TokenStates(self._context.inputs["features"] / f"{name}.safetensors")

    def _logits(self, model: nn.Module, states: TokenStates, rows: Sequence[int]) -> torch.Tensor:
        states_BTD, mask_BT = states.padded(rows)
        return model(states_BTD.to(self._accelerator.device), mask_BT.to(self._accelerator.device))

    def _finish(self) -> dict[str, float]:
        """Score the test split once, and write the artifact."""
        split, logits_NK = self._scored("test")
        if self._context.is_main:
            _write(self._context.out, self._model, split, logits_NK, self._groups)
        return scores_of(split.labels, logits_NK, prefix="test")


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
