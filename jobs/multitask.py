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
from jobs.encoders.logits import logits_of
from jobs.encoders.micro_batches import MicroBatches
from jobs.encoders.optimisation import follow_gradient, make_optimizer, make_schedule
from jobs.encoders.precision import computing_in
from jobs.encoders.shared_heads import SharedEncoder
from jobs.encoders.targets import scores_of
from jobs.specs.multitask import JointTraining, MultitaskSpec
from jobs.specs.recipe import Precision
from jobs.text.batches import length_bucketed_batches
from jobs.text.inputs import inputs_of
from jobs.text.prepared import Split, read_labels, read_split
from jobs.text.task_sampling import task_order

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
    joint = _Joint(
        model,
        tasks,
        context.accelerator,
        pad_id=encoder.config.pad_token_id or 0,
        precision=spec.training.precision,
    )
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
        self,
        model: SharedEncoder,
        tasks: Sequence[_Task],
        accelerator: Accelerator,
        *,
        pad_id: int,
        precision: Precision,
    ) -> None:
        self.model, self.tasks, self.accelerator = model, tasks, accelerator
        self._pad_id, self._precision = pad_id, precision

    def mean_loss(self, prepared: nn.Module, position: int, rows: Sequence[int]) -> torch.Tensor:
        """Mean loss of some training texts of the task at a position."""
        train = self.tasks[position].train
        labels_B = torch.tensor([train.labels[row] for row in rows], device=self.accelerator.device)
        return nn.functional.cross_entropy(self._logits(prepared, position, train, rows), labels_B)

    def scores(self, split_name: str) -> dict[str, float]:
        """Scores of every task on one of its splits."""
        self.model.eval()
        found: dict[str, float] = {}
        for position, task in enumerate(self.tasks):
            split = read_split(task.folder, split_name)
            logits_NK = logits_of(partial(self._logits, self.model, position, split), split, self.accelerator)
            found |= scores_of(split.labels, logits_NK, prefix=f"{task.name}/{split_name}")
        self.model.train()
        return found

    def _logits(self, model: nn.Module, position: int, split: Split, rows: Sequence[int]) -> torch.Tensor:
        device = self.accelerator.device
        ids_BT, mask_BT, types_BT, *_ = inputs_of(split.rows(rows), self._pad_id).to(device)
        with computing_in(self._precision, device):
            return model(ids_BT, mask_BT, types_BT, task=position).float()


def _train(
    joint: _Joint, order: Sequence[int], training: JointTraining, context: StageContext
) -> dict[str, float]:
    """Take every step; returns the last validation scores, and how many texts went through at once."""
    groups = groups_at_one_rate(
        joint.model, learning_rate=training.learning_rate, weight_decay=training.weight_decay
    )
    optimizer = make_optimizer(groups)
    schedule = make_schedule(optimizer, num_steps=len(order), warmup=training.warmup)
    prepared, optimizer = joint.accelerator.prepare(joint.model, optimizer)
    micro_batches = MicroBatches(
        context.micro_batch_size, accelerator=joint.accelerator, model=prepared, say=context.say
    )
    num_evaluations = min(training.evaluations, len(order))
    scored_at = {round((i + 1) * len(order) / num_evaluations) for i in range(num_evaluations)}
    every = max(1, len(order) // POINTS_LOGGED)
    taken, losses = [0] * len(joint.tasks), []
    scores: dict[str, float] = {}
    prepared.train()
    for step, position in enumerate(order, start=1):
        rows = joint.tasks[position].batch(taken[position])
        taken[position] += 1
        losses.append(micro_batches.backward(rows, partial(joint.mean_loss, prepared, position)))
        finite = follow_gradient(
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
    return scores | {"train/micro_batch_size": micro_batches.examples_at_once(training.batch_size)}


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
