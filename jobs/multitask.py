"""Trains one encoder on several tasks together, a head for each (Sun et al. 2019, section 5.5)."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from accelerate.utils import set_seed
from safetensors.torch import save_file
from torch import nn

from layerscope.jobs.artifacts.curves import cut_curves, forget_curves
from layerscope.jobs.artifacts.tokenised import Split, read_labels, read_split
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.checkpoints import (
    load_checkpoint,
    restore_schedule,
    save_checkpoint,
    schedule_state,
)
from layerscope.jobs.encoders.learning_rates import groups_at_one_rate
from layerscope.jobs.encoders.loading import load_encoder, save_encoder
from layerscope.jobs.encoders.logits import logits_of
from layerscope.jobs.encoders.micro_batches import MicroBatches
from layerscope.jobs.encoders.optimisation import follow_gradient, make_optimizer, make_schedule
from layerscope.jobs.encoders.precision import computing_in
from layerscope.jobs.encoders.shared_heads import SharedEncoder
from layerscope.jobs.encoders.targets import scores_of
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.multitask import JointTraining, MultitaskSpec
from layerscope.jobs.text.batches import length_bucketed_batches
from layerscope.jobs.text.inputs import inputs_of
from layerscope.jobs.text.task_sampling import task_order

DATA = "data/"
"""What the roles of the tasks' data begin with; the rest is the task's name."""
POINTS_LOGGED = 50


def run(spec: MultitaskSpec, context: StageContext) -> dict[str, float]:
    """Train all tasks together; the last weights are kept.

    Returns:
        Of each task `<task>/validation/accuracy`, `<task>/test/accuracy` and so on, and its number of steps;
        and the texts that a process ran forward and backward at once.

    Raises:
        ValueError: the loss is not finite any more, or there is no memory for one text.
    """
    training = SharedTraining(spec, context)
    while not training.is_over:
        training.advance()
    return training.finish()


class SharedTraining:
    """One joint training that can be advanced, saved, and resumed from scratch."""

    num_evaluations = 1
    """Early stopping has nothing to look at: the scores are of several tasks, and no variant's."""

    def __init__(self, spec: MultitaskSpec, context: StageContext) -> None:
        assert context.accelerator is not None
        training = spec.training
        self._training, self._context, self._accelerator = training, context, context.accelerator
        set_seed(training.seed)
        self._tasks = [
            _read_task(role.removeprefix(DATA), folder, training)
            for role, folder in sorted(context.inputs.items())
            if role.startswith(DATA)
        ]
        encoder = load_encoder(context.inputs["encoder"], code=code_of(spec.encoder))
        self._model = SharedEncoder(
            encoder, num_labels=[len(task.labels) for task in self._tasks], pooling=training.pooling
        )
        self._pad_id = encoder.config.pad_token_id or 0
        self._order = task_order(
            [len(task.train.texts) for task in self._tasks],
            sampling=training.sampling,
            num_steps=_num_steps(training, self._tasks),
            seed=training.seed,
        )
        self._scored_at = _scored_at(len(self._order), training.evaluations)
        groups = groups_at_one_rate(
            self._model, learning_rate=training.learning_rate, weight_decay=training.weight_decay
        )
        optimizer = make_optimizer(groups)
        self._schedule = make_schedule(optimizer, num_steps=len(self._order), warmup=training.warmup)
        self._prepared, self._optimizer = self._accelerator.prepare(self._model, optimizer)
        self._micro_batches = MicroBatches(
            context.micro_batch_size, accelerator=self._accelerator, model=self._prepared, say=context.say
        )
        self._step = 0
        self._scores: dict[str, float] = {}
        """The last of the validation splits."""
        self._resume()
        self._taken = [self._order[: self._step].count(position) for position in range(len(self._tasks))]

    @property
    def is_over(self) -> bool:
        """Whether every step was taken."""
        return self._step >= len(self._order)

    def advance(self) -> dict[str, float]:
        """Train up to the next point of the loss curve.

        Raises:
            ValueError: the training diverged.
        """
        every = max(1, len(self._order) // POINTS_LOGGED)
        target = min((self._step // every + 1) * every, len(self._order))
        losses = []
        self._prepared.train()
        while self._step < target:
            losses.append(self._take_step())
            if self._step == target:
                mean = self._accelerator.reduce(torch.stack(losses).mean(), reduction="mean").item()
                self._context.log(self._step, **{"train/loss": mean})
            if self._step in self._scored_at:
                self._scores = self._scores_of("validation")
                self._context.log(self._step, **self._scores)
        return {"step": self._step}

    def save(self) -> None:
        """Write a checkpoint into the scratch folder; every process of a gang calls it."""
        save_checkpoint(
            self._accelerator,
            self._context.scratch,
            progress={
                "step": self._step,
                "scores": self._scores,
                "schedule": schedule_state(self._schedule),
                "micro_batch_size": self._micro_batches.size,
            },
            tensors={},
        )

    def finish(self) -> dict[str, float]:
        """Score the test splits, write the artifact, and return the summary."""
        test = self._scores_of("test")
        if self._context.is_main:
            _write(self._model, self._tasks, self._training, self._context)
        counts = {
            f"{task.name}/train/steps": float(taken)
            for task, taken in zip(self._tasks, self._taken, strict=True)
        }
        at_once = self._micro_batches.examples_at_once(self._training.batch_size)
        about = {"train/steps": float(len(self._order)), "train/micro_batch_size": at_once}
        return self._scores | test | counts | about

    def _resume(self) -> None:
        scratch = self._context.scratch
        checkpoint = load_checkpoint(self._accelerator, scratch)
        if checkpoint is None:
            if self._context.is_main:
                forget_curves(scratch)
            return
        state, _ = checkpoint
        self._step, self._scores = state["step"], state["scores"]
        self._micro_batches.at_most(state["micro_batch_size"])
        restore_schedule(self._schedule, state["schedule"])
        if self._context.is_main:
            cut_curves(scratch, last_step=self._step)

    def _take_step(self) -> torch.Tensor:
        """One optimiser step; this process's part of the loss."""
        position = self._order[self._step]
        rows = self._tasks[position].batch(self._taken[position])
        loss = self._micro_batches.backward(rows, partial(self._mean_loss, position))
        finite = follow_gradient(
            accelerator=self._accelerator,
            model=self._prepared,
            optimizer=self._optimizer,
            schedule=self._schedule,
            max_grad_norm=self._training.max_grad_norm,
        )
        self._step += 1
        self._taken[position] += 1
        if not finite:
            raise ValueError(
                f"joint training diverged by step {self._step}, in task {self._tasks[position].name}: the "
                f"loss is not finite; a learning rate below {self._training.learning_rate:g} would be right"
            )
        return loss

    def _mean_loss(self, position: int, rows: Sequence[int]) -> torch.Tensor:
        """Mean loss of some training texts of the task at a position."""
        train = self._tasks[position].train
        labels_B = torch.tensor([train.labels[row] for row in rows], device=self._accelerator.device)
        return nn.functional.cross_entropy(self._logits(self._prepared, position, train, rows), labels_B)

    def _scores_of(self, split_name: str) -> dict[str, float]:
        """Scores of every task on one of its splits."""
        self._model.eval()
        found: dict[str, float] = {}
        for position, task in enumerate(self._tasks):
            split = read_split(task.folder, split_name)
            forward = partial(self._logits, self._model, position, split)
            logits_NK = logits_of(forward, split, self._accelerator)
            found |= scores_of(split.labels, logits_NK, prefix=f"{task.name}/{split_name}")
        self._model.train()
        return found

    def _logits(self, model: nn.Module, position: int, split: Split, rows: Sequence[int]) -> torch.Tensor:
        device = self._accelerator.device
        ids_BT, mask_BT, types_BT, *_ = inputs_of(split.rows(rows), self._pad_id).to(device)
        with computing_in(self._training.precision, device):
            return model(ids_BT, mask_BT, types_BT, task=position).float()


@dataclass(frozen=True)
class _Task:
    name: str
    folder: Path
    labels: Sequence[str]
    train: Split
    batches_of_epoch: Callable[..., list[list[int]]]
    num_batches: int

    def batch(self, number: int) -> list[int]:
        """Rows of this task's batch with that number: shuffled passes laid end to end."""
        epoch, index = divmod(number, self.num_batches)
        return self.batches_of_epoch(epoch=epoch)[index]


def _read_task(name: str, folder: Path, training: JointTraining) -> _Task:
    train = read_split(folder, "train")
    batches = partial(
        length_bucketed_batches,
        [len(text) for text in train.texts],
        batch_size=training.batch_size,
        seed=training.seed,
    )
    num_batches = math.ceil(len(train.texts) / training.batch_size)
    return _Task(name, folder, read_labels(folder), train, lru_cache(maxsize=1)(batches), num_batches)


def _num_steps(training: JointTraining, tasks: Sequence[_Task]) -> int:
    if training.steps is not None:
        return training.steps
    assert training.epochs is not None, "an experiment says one of epochs and steps"
    return training.epochs * sum(task.num_batches for task in tasks)


def _scored_at(num_steps: int, evaluations: int) -> set[int]:
    """The steps after which the validation splits are scored."""
    number = min(evaluations, num_steps)
    return {round((position + 1) * num_steps / number) for position in range(number)}


def _write(
    model: SharedEncoder, tasks: Sequence[_Task], training: JointTraining, context: StageContext
) -> None:
    save_encoder(model.encoder, context.out, tokenizer_from=context.inputs["encoder"])
    weights = {
        f"{task.name}.{name}": value.contiguous()
        for task, head in zip(tasks, model.heads, strict=True)
        for name, value in head.state_dict().items()
    }
    save_file(weights, context.out / "heads.safetensors")
    about = {"pooling": training.pooling, "labels": {task.name: list(task.labels) for task in tasks}}
    (context.out / "heads.json").write_text(json.dumps(about, ensure_ascii=False, indent=1), encoding="utf-8")
