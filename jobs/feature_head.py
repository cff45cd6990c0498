"""Trains a head on the stored token states of a frozen encoder; the best weights on validation are kept.

Axes: N texts of a split, B texts of a batch, K labels.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from accelerate.utils import set_seed
from torch import nn

from layerscope.jobs.artifacts.classifier_heads import write_head
from layerscope.jobs.artifacts.examples import SplitName
from layerscope.jobs.artifacts.token_states import TokenStates, read_dropout
from layerscope.jobs.artifacts.tokenised import Split, read_labels, read_split
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.feature_heads import make_head
from layerscope.jobs.specs.features import FeatureHeadSpec
from layerscope.jobs.specs.targets import selecting_name
from layerscope.jobs.targets.label import LABEL
from layerscope.jobs.targets.own_metrics import load_metric
from layerscope.jobs.text.reading.subsets import stratified_subset, subset_size
from layerscope.jobs.training.epochs import Epochs
from layerscope.jobs.training.learning_rates import groups_at_one_rate
from layerscope.jobs.training.logits import logits_of
from layerscope.jobs.training.loop import (
    Course,
    Evaluation,
    Learner,
    Progress,
    TrainingLoop,
    points_of_evaluations,
    train,
)
from layerscope.jobs.training.optimisation import Batch, Optimisation
from layerscope.jobs.training.results import summary, write_results


def run(spec: FeatureHeadSpec, context: StageContext) -> dict[str, float]:
    """Run the training; returns the scores of the best weights on validation and test."""
    return train(begin(spec, context))


def begin(spec: FeatureHeadSpec, context: StageContext) -> TrainingLoop:
    """One training of a head that is advanced an evaluation at a time, from its checkpoint where there is
    one."""
    return TrainingLoop(FeatureHeadTraining(spec, context), context)


class FeatureHeadTraining(Learner):
    """A head on the token states of a task's texts."""

    def __init__(self, spec: FeatureHeadSpec, context: StageContext) -> None:
        self._spec, self._context = spec, context
        training, data = spec.training, context.inputs["data"]
        set_seed(spec.seed)
        self._own = load_metric(spec.selected_by, context.inputs.get("metric"))
        self._labels = read_split(data, "train").labels
        size = subset_size(training.train_size, len(self._labels))
        self._rows = stratified_subset(self._labels, size=size, seed=spec.seed)
        self._states = self._states_of("train")
        model = make_head(
            spec,
            width=self._states.width,
            num_labels=len(read_labels(data)),
            dropout=read_dropout(context.inputs["features"]),
        )
        self._groups = groups_at_one_rate(
            model, learning_rate=training.learning_rate, weight_decay=training.weight_decay, name="head"
        )
        lengths = [self._states.lengths[row] for row in self._rows]
        self._epochs = Epochs(lengths, batch_size=training.batch_size, seed=spec.seed)
        num_steps = training.epochs * self._epochs.num_batches
        points = points_of_evaluations(num_steps, training.epochs * training.evaluations_per_epoch)
        self.course = Course(points, selects=True)
        # A head is small: its batches are whole, unless memory runs out.
        self.optimisation = Optimisation(
            model,
            self._groups,
            context,
            num_steps=num_steps,
            warmup=training.warmup,
            max_grad_norm=training.max_grad_norm,
        )

    def next_batch(self, step: int) -> Batch:
        return Batch([self._rows[position] for position in self._epochs.batch(step)], self._mean_loss)

    def evaluate(self) -> Evaluation:
        split, logits_NK = self._scored("validation")
        scores = LABEL.scores(split.labels, logits_NK, prefix="validation", own=self._own)
        return Evaluation(scores, scores[f"validation/{selecting_name(self._spec.selected_by, LABEL.name)}"])

    def finish(self, progress: Progress) -> dict[str, float]:
        split, logits_NK = self._scored("test")
        if self._context.is_main:
            self._write(split, logits_NK)
        counts = {"train/num_texts": len(self._rows)}
        about = summary(progress, counts, batch_size=self._spec.training.batch_size)
        return (
            progress.best
            | LABEL.scores(split.labels, logits_NK, prefix="test", own=self._own)
            | {name: float(value) for name, value in about.items()}
            | {"diverged": float(progress.diverged)}
        )

    def _mean_loss(self, rows: Sequence[int]) -> torch.Tensor:
        logits_BK = self._logits(self.optimisation.model, self._states, rows)
        return LABEL.mean_loss(logits_BK, [self._labels[row] for row in rows])

    def _scored(self, name: SplitName) -> tuple[Split, np.ndarray]:
        """A split and its logits (N, K), on every process."""
        split, states = read_split(self._context.inputs["data"], name), self._states_of(name)
        forward = partial(self._logits, self.optimisation.module.eval(), states)
        return split, logits_of(forward, split, self.optimisation.accelerator)

    def _states_of(self, name: SplitName) -> TokenStates:
        return TokenStates(self._context.inputs["features"], name)

    def _logits(self, model: nn.Module, states: TokenStates, rows: Sequence[int]) -> torch.Tensor:
        states_BTD, mask_BT = states.padded(rows)
        device = self.optimisation.accelerator.device
        logits_BK: torch.Tensor = model(states_BTD.to(device), mask_BT.to(device))
        return logits_BK

    def _write(self, test: Split, logits_NK: np.ndarray) -> None:
        write_head(self._context.out, self.optimisation.module.state_dict())
        write_results(self._context.out, LABEL, test, logits_NK, self._groups)
