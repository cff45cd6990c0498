"""Trains one encoder on several tasks together, a head for each (Sun et al. 2019, section 5.5)."""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from safetensors.torch import save_file
from torch import nn

from jobs.context import CURVES, StageContext
from jobs.encoders.learning_rates import groups_at_one_rate
from jobs.encoders.loading import load_encoder, save_encoder
from jobs.encoders.logits import logits_of, scores_of
from jobs.encoders.optimisation import make_optimizer, make_schedule, take_step
from jobs.encoders.shared_heads import SharedEncoder
from jobs.processes import share
from jobs.specs.multitask import JointTraining, MultitaskSpec
from jobs.text.batches import length_bucketed_batches, pad
from jobs.text.prepared import Split, read_labels, read_split
from jobs.text.task_sampling import task_order

DATA = "data/"
"""What the roles of the tasks' data begin with; the rest is the task's name."""
POINTS_LOGGED = 50


def run(spec: MultitaskSpec, context: StageContext) -> dict[str, float]:
    """Train all tasks together; the last weights are kept.

    Returns:
        Of each task `<task>/validation/accuracy`, `<task>/test/accuracy` and so on, and its number of steps.

    Raises:
        ValueError: the loss is not finite any more.
    """
    assert context.accelerator is not None
    if context.is_main:
        (context.scratch / CURVES).unlink(missing_ok=True)
    set_seed(spec.training.seed)
    tasks = [
        _read_task(role.removeprefix(DATA), folder, spec.training)
        for role, folder in sorted(context.inputs.items())
        if role.startswith(DATA)
    ]
    encoder = load_encoder(context.inputs["encoder"])
    model = SharedEncoder(
        encoder, num_labels=[len(task.labels) for task in tasks], pooling=spec.training.pooling
    )
    joint = _Joint(model, tasks, context.accelerator, pad_id=encoder.config.pad_token_id or 0)
    order = task_order(
        [len(task.train.texts) for task in tasks],
        sampling=spec.training.sampling,
        num_steps=_num_steps(spec.training, tasks),
        seed=spec.training.seed,
    )
    last = _train(joint, order, spec.training, context)
    test = joint.scores("test")
    if context.is_main:
        _write(model, tasks, spec.training, context)
    counts = {f"{task.name}/train/steps": float(order.count(i)) for i, task in enumerate(tasks)}
    return last | test | counts | {"train/steps": float(len(order))}


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


class _Joint:
    """The model with the tasks that it is trained and scored on."""

    def __init__(
        self, model: SharedEncoder, tasks: Sequence[_Task], accelerator: Accelerator, *, pad_id: int
    ) -> None:
        self.model, self.tasks, self.accelerator, self._pad_id = model, tasks, accelerator, pad_id

    def loss(self, prepared: nn.Module, position: int, rows: Sequence[int]) -> torch.Tensor:
        """Mean loss of this process's share of a batch, weighted so that averages over processes are averages
        over the batch; a process without a share takes part with weight 0."""
        train, accelerator = self.tasks[position].train, self.accelerator
        own = share(rows, accelerator)
        weight = len(own) * accelerator.num_processes / len(rows)
        own = own or rows[:1]
        labels_B = torch.tensor([train.labels[row] for row in own], device=accelerator.device)
        logits_BK = prepared(*self._padded(train, own), position)
        return nn.functional.cross_entropy(logits_BK, labels_B) * weight

    def scores(self, split_name: str) -> dict[str, float]:
        """Scores of every task on one of its splits."""
        self.model.eval()
        found: dict[str, float] = {}
        for position, task in enumerate(self.tasks):
            split = read_split(task.folder, split_name)

            def forward(rows: Sequence[int], split: Split = split, position: int = position) -> torch.Tensor:
                return self.model(*self._padded(split, rows), position)

            logits_NK = logits_of(forward, [len(text) for text in split.texts], self.accelerator)
            found |= scores_of(split.labels, logits_NK, prefix=f"{task.name}/{split_name}")
        self.model.train()
        return found

    def _padded(self, split: Split, rows: Sequence[int]) -> tuple[torch.Tensor, torch.Tensor]:
        ids_BT, mask_BT = pad([split.texts[row] for row in rows], self._pad_id)
        return ids_BT.to(self.accelerator.device), mask_BT.to(self.accelerator.device)


def _train(
    joint: _Joint, order: Sequence[int], training: JointTraining, context: StageContext
) -> dict[str, float]:
    """Take every step; returns the last validation scores."""
    groups = groups_at_one_rate(
        joint.model, learning_rate=training.learning_rate, weight_decay=training.weight_decay
    )
    optimizer = make_optimizer(groups)
    schedule = make_schedule(optimizer, num_steps=len(order), warmup=training.warmup)
    prepared, optimizer = joint.accelerator.prepare(joint.model, optimizer)
    num_evaluations = min(training.evaluations, len(order))
    scored_at = {round((i + 1) * len(order) / num_evaluations) for i in range(num_evaluations)}
    every = max(1, len(order) // POINTS_LOGGED)
    taken, losses = [0] * len(joint.tasks), []
    scores: dict[str, float] = {}
    prepared.train()
    for step, position in enumerate(order, start=1):
        rows = joint.tasks[position].batch(taken[position])
        taken[position] += 1
        loss = joint.loss(prepared, position, rows)
        losses.append(loss.detach())
        finite = take_step(
            loss,
            accelerator=joint.accelerator,
            model=prepared,
            optimizer=optimizer,
            schedule=schedule,
            max_grad_norm=training.max_grad_norm,
        )
        if not finite:
            raise ValueError(
                f"joint training diverged by step {step}, in task {joint.tasks[position].name}: the loss is "
                f"not finite; a learning rate below {training.learning_rate:g} would be right"
            )
        if step % every == 0 or step == len(order):
            mean = joint.accelerator.reduce(torch.stack(losses).mean(), reduction="mean").item()
            context.log(step, **{"train/loss": mean})
            losses = []
        if step in scored_at:
            scores = joint.scores("validation")
            context.log(step, **scores)
    return scores


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
