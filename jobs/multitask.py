"""Trains one encoder on several tasks together, a head for each (Sun et al. 2019, section 5.5)."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import set_seed
from torch import nn

from layerscope.jobs.artifacts.classifier_heads import write_joint_heads
from layerscope.jobs.artifacts.examples import SplitName
from layerscope.jobs.artifacts.tokenised import Split, read_labels, read_split
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.loading import load_encoder, save_encoder
from layerscope.jobs.encoders.shared_heads import SharedEncoder
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.multitask import JointTraining, MultitaskSpec
from layerscope.jobs.targets.label import LABEL
from layerscope.jobs.text.tokenising.inputs import inputs_of
from layerscope.jobs.training.epochs import Epochs
from layerscope.jobs.training.learning_rates import groups_at_one_rate
from layerscope.jobs.training.logits import logits_of
from layerscope.jobs.training.loop import (
    Course,
    Learner,
    Progress,
    TrainingLoop,
    points_of_curves,
    points_of_evaluations,
    train,
)
from layerscope.jobs.training.optimisation import Batch, Optimisation
from layerscope.jobs.training.precision import computing_in
from layerscope.jobs.training.task_sampling import task_order

DATA = "data/"
"""What the roles of the tasks' data begin with; the rest is the task's name."""


def run(spec: MultitaskSpec, context: StageContext) -> dict[str, float]:
    """Train all tasks together; the last weights are kept.

    Returns:
        Of each task `<task>/validation/accuracy`, `<task>/test/accuracy` and so on, and its number of steps;
        and the texts that a process ran forward and backward at once.

    Raises:
        ValueError: the loss is not finite any more, or there is no memory for one text.
    """
    return train(begin(spec, context))


def begin(spec: MultitaskSpec, context: StageContext) -> TrainingLoop:
    """One joint training, advanced from point to point of its curves."""
    return TrainingLoop(TrainingOfSeveralTasks(spec, context), context)


class TrainingOfSeveralTasks(Learner):
    """One encoder under a head for each task, and the tasks' texts by turns."""

    optimisation: Optimisation[SharedEncoder]

    def __init__(self, spec: MultitaskSpec, context: StageContext) -> None:
        training = spec.training
        self._training, self._context = training, context
        set_seed(training.seed)
        self._tasks = [
            _read_task(role.removeprefix(DATA), folder, training)
            for role, folder in sorted(context.inputs.items())
            if role.startswith(DATA)
        ]
        encoder = load_encoder(context.inputs["encoder"], code=code_of(spec.encoder))
        model = SharedEncoder(
            encoder, num_labels=[len(task.labels) for task in self._tasks], pooling=training.pooling
        )
        self._pad_id = encoder.config.pad_token_id or 0
        self._order = task_order(
            [len(task.train.texts) for task in self._tasks],
            sampling=training.sampling,
            num_steps=_num_steps(training, self._tasks),
            seed=training.seed,
        )
        self._numbers = _numbered(self._order)
        self._scored_at = set(points_of_evaluations(len(self._order), training.evaluations))
        groups = groups_at_one_rate(
            model, learning_rate=training.learning_rate, weight_decay=training.weight_decay
        )
        self.course = Course(points_of_curves(len(self._order)))
        self.optimisation = Optimisation(
            model,
            groups,
            context,
            num_steps=len(self._order),
            warmup=training.warmup,
            max_grad_norm=training.max_grad_norm,
            micro_batch_size=context.micro_batch_size,
        )
        self._scores: dict[str, float] = {}
        """The last of the validation splits."""

    def next_batch(self, step: int) -> Batch:
        position, number = self._order[step], self._numbers[step]
        return Batch(self._tasks[position].epochs.batch(number), partial(self._mean_loss, position))

    def after_step(self, step: int) -> None:
        if step in self._scored_at:
            self._scores = self._scores_of("validation")
            self._context.log(step, **self._scores)
            self.optimisation.module.train()

    def refuse_divergence(self, step: int) -> None:
        raise ValueError(
            f"joint training diverged by step {step}, in task {self._tasks[self._order[step - 1]].name}: the "
            f"loss is not finite; use a learning rate below {self._training.learning_rate:g}"
        )

    def state(self) -> dict[str, Any]:
        return {"scores": self._scores}

    def load_state(self, state: dict[str, Any]) -> None:
        self._scores = state["scores"]

    def finish(self, progress: Progress) -> dict[str, float]:
        test = self._scores_of("test")
        if self._context.is_main:
            _write(self.optimisation.module, self._tasks, self._training, self._context)
        counts = {
            f"{task.name}/train/steps": float(self._order.count(position))
            for position, task in enumerate(self._tasks)
        }
        at_once = self.optimisation.micro_batches.examples_at_once(self._training.batch_size)
        about = {"train/steps": float(progress.step), "train/micro_batch_size": at_once}
        return self._scores | test | counts | about

    def _mean_loss(self, position: int, rows: Sequence[int]) -> torch.Tensor:
        """Mean loss of some training texts of the task at a position."""
        train = self._tasks[position].train
        logits_BK = self._logits(self.optimisation.model, position, train, rows)
        return LABEL.mean_loss(logits_BK, train.rows(rows).targets())

    def _scores_of(self, split_name: SplitName) -> dict[str, float]:
        """Scores of every task on one of its splits."""
        model = self.optimisation.module.eval()
        found: dict[str, float] = {}
        for position, task in enumerate(self._tasks):
            split = read_split(task.folder, split_name)
            forward = partial(self._logits, model, position, split)
            logits_NK = logits_of(forward, split, self.optimisation.accelerator)
            found |= LABEL.scores(split.labels, logits_NK, prefix=f"{task.name}/{split_name}")
        return found

    def _logits(self, model: nn.Module, position: int, split: Split, rows: Sequence[int]) -> torch.Tensor:
        device = self.optimisation.accelerator.device
        ids_BT, mask_BT, types_BT, *_ = inputs_of(split.rows(rows), self._pad_id).to(device)
        with computing_in(self._training.precision, device):
            logits_BK: torch.Tensor = model(ids_BT, mask_BT, types_BT, task=position)
            return logits_BK.float()


@dataclass(frozen=True)
class _Task:
    name: str
    folder: Path
    labels: Sequence[str]
    train: Split
    epochs: Epochs


def _read_task(name: str, folder: Path, training: JointTraining) -> _Task:
    train = read_split(folder, "train")
    lengths = [len(text) for text in train.texts]
    epochs = Epochs(lengths, batch_size=training.batch_size, seed=training.seed)
    return _Task(name, folder, read_labels(folder), train, epochs)


def _num_steps(training: JointTraining, tasks: Sequence[_Task]) -> int:
    if training.steps is not None:
        return training.steps
    assert training.epochs is not None, "an experiment says one of epochs and steps"
    return training.epochs * sum(task.epochs.num_batches for task in tasks)


def _numbered(order: Sequence[int]) -> list[int]:
    """Of each step how many steps of the same task are before it."""
    taken: Counter[int] = Counter()
    numbers = []
    for position in order:
        numbers.append(taken[position])
        taken[position] += 1
    return numbers


def _write(
    model: SharedEncoder, tasks: Sequence[_Task], training: JointTraining, context: StageContext
) -> None:
    save_encoder(model.encoder, context.out, tokenizer_from=context.inputs["encoder"])
    parts = {
        f"{task.name}.{name}": value
        for task, head in zip(tasks, model.heads, strict=True)
        for name, value in head.state_dict().items()
    }
    labels_by_task = {task.name: task.labels for task in tasks}
    write_joint_heads(context.out, parts, pooling=training.pooling, labels_by_task=labels_by_task)
