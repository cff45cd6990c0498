"""The training loop of every kind of training: steps, logging, evaluation, best weights, save and resume."""

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import nn

from layerscope.jobs.artifacts.curves import cut_curves, forget_curves
from layerscope.jobs.context import StageContext
from layerscope.jobs.training.checkpoints import load_checkpoint, save_checkpoint
from layerscope.jobs.training.optimisation import Batch, Optimisation
from layerscope.jobs.training.snapshots import forget_snapshots

POINTS_LOGGED = 50
"""Number of points of the loss curve of a training without evaluations."""


class Evaluation(NamedTuple):
    """Scores of a model at one point of its training."""

    scores: dict[str, float]
    """Includes `validation/loss`: a training with a loss that is not finite has diverged."""
    score: float
    """The score that selects the best weights; higher is better."""
    about: dict[str, float] = {}
    """Further values for the summary, if these weights are the best."""


@dataclass
class Progress:
    """Progress of a training, saved in checkpoints."""

    step: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    diverged: bool = False
    best_score: float = -math.inf
    best: dict[str, float] = field(default_factory=dict)
    """Scores of the best weights."""
    about_best: dict[str, float] = field(default_factory=dict)
    first_losses: dict[str, float] = field(default_factory=dict)
    last_losses: dict[str, float] = field(default_factory=dict)
    """The last logged losses, by names such as `train/loss`."""


@dataclass(frozen=True)
class Course:
    """When the loop evaluates and logs."""

    points: Sequence[int]
    """Steps, ascending, at which `advance` returns: those of evaluations, or of loss curves. The last one
    ends the training."""
    selects: bool = False
    """Whether the model is evaluated at every point and ends with its best weights."""
    loss_names: Sequence[str] = ("loss",)
    losses_per_point: int = 1
    """How many times the mean loss since the previous log is logged per point."""
    logs_learning_rate: bool = False


class Learner:
    """What differs between kinds of training: the model, its batches and its results.

    Methods with a default are optional to override.
    """

    optimisation: Optimisation[Any]
    course: Course

    def next_batch(self, step: int) -> Batch:
        """The batch of step number `step`, counted from 0."""
        raise NotImplementedError

    def finish(self, progress: Progress) -> dict[str, float]:
        """Score the final model, write the artifact, and return the summary."""
        raise NotImplementedError

    def evaluate(self) -> Evaluation:
        """Evaluate the current model; called only if the course selects."""
        raise NotImplementedError

    def begin(self) -> None:
        """Called before the first step of a training that is not resumed."""

    def after_step(self, step: int) -> None:
        """Called after step number `step`, counted from 1."""

    def refuse_divergence(self, step: int) -> None:
        """Raise an error if a training that diverges at this step has no result; by default it has one."""

    def state(self) -> dict[str, Any]:
        """Additional JSON values for a checkpoint."""
        return {}

    def load_state(self, state: dict[str, Any]) -> None:
        """Restore the values of a checkpoint."""


class TrainingLoop:
    """One training that can be advanced point by point, saved, and resumed from its scratch folder.

    A training that diverges ends, with its best weights if the course selects: the initial ones if none were
    scored.
    """

    def __init__(self, learner: Learner, context: StageContext) -> None:
        """Start, or resume from the checkpoint in the scratch folder."""
        self.learner, self._course, self._context = learner, learner.course, context
        self._optimisation = learner.optimisation
        self._best_weights = self._weights() if self._course.selects else {}
        self.progress = Progress()
        self._resume()

    @property
    def model(self) -> nn.Module:
        """The unwrapped model, for evaluation and saving on this process."""
        module: nn.Module = self._optimisation.module
        return module

    @property
    def num_evaluations(self) -> int:
        """Number of evaluations of the whole training; 1, at its end, if the course does not select."""
        return len(self._course.points) if self._course.selects else 1

    @property
    def is_over(self) -> bool:
        """Whether all steps are done or the training diverged."""
        return self.progress.diverged or self.progress.step >= self._course.points[-1]

    def advance(self) -> dict[str, float]:
        """Train to the next point; returns its scores, the best scores so far, and the step. The training
        must not be over.

        Raises:
            ValueError: the training diverged, and its kind has no result in this case.
        """
        progress, started = self.progress, time.monotonic()
        if progress.step == 0:
            self.learner.begin()
        self.train_to(next(point for point in self._course.points if point > progress.step))
        scores = self._evaluate() if self._course.selects else {}
        progress.seconds += time.monotonic() - started
        return scores | {"step": progress.step}

    def train_to(self, step: int) -> None:
        """Train up to this step without evaluation; fewer steps if the training diverges."""
        progress, per_point = self.progress, self._course.losses_per_point
        self._optimisation.model.train()
        every = max(1, (step - progress.step) // per_point)
        losses: list[torch.Tensor] = []
        while progress.step < step:
            loss, finite = self._optimisation.step(self.learner.next_batch(progress.step))
            progress.step += 1
            if not finite:
                self.learner.refuse_divergence(progress.step)
                progress.diverged = True
                return
            losses.append(loss)
            if progress.step == step or (per_point > 1 and progress.step % every == 0):
                self._log(losses)
                losses = []
            self.learner.after_step(progress.step)

    def save(self) -> None:
        """Write a checkpoint to the scratch folder; every process of a gang must call it."""
        save_checkpoint(
            self._optimisation.accelerator,
            self._context.scratch,
            progress={
                "progress": vars(self.progress),
                "optimisation": self._optimisation.state(),
                "learner": self.learner.state(),
            },
            tensors=self._best_weights,
        )

    def finish(self) -> dict[str, float]:
        """Score the training once on the test split, write the artifact, and return the summary."""
        if self._course.selects:
            self._return_to_best()
        return self.learner.finish(self.progress)

    def _resume(self) -> None:
        scratch = self._context.scratch
        checkpoint = load_checkpoint(self._optimisation.accelerator, scratch)
        if checkpoint is None:
            if self._context.is_main:
                forget_curves(scratch)
                forget_snapshots(scratch)
            return
        state, self._best_weights = checkpoint
        self.progress = Progress(**state["progress"])
        self._optimisation.load_state(state["optimisation"])
        self.learner.load_state(state["learner"])
        if self._context.is_main:
            cut_curves(scratch, last_step=self.progress.step)

    def _log(self, losses: Sequence[torch.Tensor]) -> None:
        """Log the mean of each loss over steps and processes."""
        mean = self._optimisation.accelerator.reduce(torch.stack(list(losses)).mean(0), reduction="mean")
        names = [f"train/{name}" for name in self._course.loss_names]
        named = dict(zip(names, mean.reshape(-1).tolist(), strict=True))
        rate = {"train/learning_rate": float(self._optimisation.schedule.get_last_lr()[0])}
        self._context.log(self.progress.step, **named, **(rate if self._course.logs_learning_rate else {}))
        self.progress.first_losses = self.progress.first_losses or named
        self.progress.last_losses = named

    def _evaluate(self) -> dict[str, float]:
        progress = self.progress
        found = self.learner.evaluate()
        progress.diverged |= not math.isfinite(found.scores["validation/loss"])
        if progress.diverged:
            self._return_to_best()
            found = self.learner.evaluate()
        if found.score > progress.best_score:
            progress.best_score, progress.best, progress.about_best = found.score, found.scores, found.about
            self._best_weights = self._weights()
        progress.evaluations += 1
        self._context.log(progress.step, **found.scores)
        return found.scores | {
            "best/validation/score": progress.best_score,
            **{f"best/{name}": value for name, value in progress.best.items()},
            "evaluations": progress.evaluations,
        }

    def _weights(self) -> dict[str, torch.Tensor]:
        """A copy on the CPU, kept by every process because all evaluate the best weights."""
        return {name: value.detach().cpu().clone() for name, value in self.model.state_dict().items()}

    def _return_to_best(self) -> None:
        self.model.load_state_dict(self._best_weights)


def points_of_curves(num_steps: int) -> list[int]:
    """Steps at which a training without evaluations logs its loss."""
    every = max(1, num_steps // POINTS_LOGGED)
    return sorted({*range(every, num_steps + 1, every), num_steps})


def points_of_evaluations(num_steps: int, number: int) -> list[int]:
    """Steps of `number` evenly spaced evaluations; fewer if the training has fewer steps."""
    number = min(number, num_steps)
    return [round((place + 1) * num_steps / number) for place in range(number)]


def train(loop: TrainingLoop) -> dict[str, float]:
    """Train to the end; returns the summary."""
    while not loop.is_over:
        loop.advance()
    return loop.finish()
