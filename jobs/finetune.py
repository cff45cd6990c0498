"""Fine-tunes an encoder with a classifier head; the best weights on the validation split are kept."""

import json
import math
import time
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import torch
from accelerate.utils import gather_object, set_seed
from safetensors.torch import save_file

from jobs.context import CURVES, StageContext
from jobs.encoders.checkpoints import cut_curves, load_checkpoint, save_checkpoint
from jobs.encoders.heads import Classifier
from jobs.encoders.learning_rates import parameter_groups
from jobs.encoders.loading import load_encoder, save_encoder
from jobs.encoders.optimisation import make_optimizer, make_schedule, take_step
from jobs.numerics.scores import accuracy, cross_entropy, macro_f1
from jobs.processes import share
from jobs.specs.stages import FinetuneSpec
from jobs.text.batches import length_bucketed_batches, pad
from jobs.text.prepared import Split, read_labels, read_split
from jobs.text.subsets import part_of_train

LOSSES_LOGGED_PER_EVALUATION = 10
EVALUATION_BATCH_SIZE = 64


def run(spec: FinetuneSpec, context: StageContext) -> dict[str, float]:
    """Train to the end; returns the scores of the best weights on validation and test."""
    finetuning = Finetuning(spec, context)
    while not finetuning.is_over:
        finetuning.advance()
    return finetuning.finish()


@dataclass
class _Progress:
    step: int = 0
    evaluations: int = 0
    seconds: float = 0.0
    diverged: bool = False
    best_accuracy: float = -math.inf
    best: dict[str, float] = field(default_factory=dict)


class Finetuning:
    """One fine-tuning run that can be advanced one evaluation at a time, saved, and resumed from scratch."""

    def __init__(self, spec: FinetuneSpec, context: StageContext) -> None:
        assert context.accelerator is not None
        self._spec, self._context, self._accelerator = spec, context, context.accelerator
        training, data = spec.training, context.inputs["data"]
        set_seed(spec.seed)
        self._train = part_of_train(read_split(data, "train"), size=training.train_size, seed=spec.seed)
        self._validation = read_split(data, "validation")
        encoder = load_encoder(context.inputs["encoder"])
        classifier = Classifier(encoder, num_labels=len(read_labels(data)), pooling=training.pooling)
        self.groups = parameter_groups(encoder, classifier.head, training)
        self._pad_id = encoder.config.pad_token_id or 0
        self._steps_per_epoch = math.ceil(len(self._train.texts) / training.batch_size)
        self.num_steps = training.epochs * self._steps_per_epoch
        self.num_evaluations = min(training.epochs * training.evaluations_per_epoch, self.num_steps)
        optimizer = make_optimizer(self.groups)
        self._schedule = make_schedule(optimizer, num_steps=self.num_steps, warmup=training.warmup)
        self._model, self._optimizer = self._accelerator.prepare(classifier, optimizer)
        self._batches_of_epoch = lru_cache(maxsize=1)(
            partial(
                length_bucketed_batches,
                [len(text) for text in self._train.texts],
                batch_size=training.batch_size,
                seed=spec.seed,
            )
        )
        self._best_weights = self._weights()
        self._progress = _Progress()
        self._resume()

    @property
    def is_over(self) -> bool:
        """Whether every step was taken, or the run diverged."""
        return self._progress.diverged or self._progress.step >= self.num_steps

    def advance(self) -> dict[str, float]:
        """Train up to the next evaluation; returns its scores, the best so far, and the progress.

        A run that diverges is over and back at its best weights: those it began with if none were scored.
        """
        progress = self._progress
        started = time.monotonic()
        target = round((progress.evaluations + 1) * self.num_steps / self.num_evaluations)
        self._train_to(target)
        scores = self._score(self._validation, prefix="validation")
        progress.diverged |= not math.isfinite(scores["validation/loss"])
        if progress.diverged:
            self._return_to_best()
            scores = self._score(self._validation, prefix="validation")
        if scores["validation/accuracy"] > progress.best_accuracy:
            progress.best_accuracy = scores["validation/accuracy"]
            progress.best = scores
            self._best_weights = self._weights()
        progress.evaluations += 1
        progress.seconds += time.monotonic() - started
        self._context.log(progress.step, **scores)
        return scores | {
            "best/validation/accuracy": progress.best_accuracy,
            "best/validation/macro_f1": progress.best["validation/macro_f1"],
            "best/validation/loss": progress.best["validation/loss"],
            "evaluations": progress.evaluations,
            "step": progress.step,
        }

    def save(self) -> None:
        """Write a checkpoint into the scratch folder; every process of a gang calls it."""
        schedule = {key: value for key, value in self._schedule.state_dict().items() if key != "lr_lambdas"}
        save_checkpoint(
            self._accelerator,
            self._context.scratch,
            progress={"run": vars(self._progress), "schedule": schedule},
            tensors=self._best_weights,
        )

    def finish(self) -> dict[str, float]:
        """Score the best weights once on the test split, write the artifact, and return the summary."""
        self._return_to_best()
        test = read_split(self._context.inputs["data"], "test")
        logits_NK = self._logits(test)
        if self._context.is_main:
            self._write(test, logits_NK)
        progress = self._progress
        num_seen = progress.step * self._spec.training.batch_size
        return (
            progress.best
            | _scores(test, logits_NK, prefix="test")
            | {
                "train/seconds": progress.seconds,
                "train/steps": progress.step,
                "train/num_texts": len(self._train.texts),
                "train/examples_per_second": num_seen / max(progress.seconds, 1e-9),
                "diverged": float(progress.diverged),
            }
        )

    def _resume(self) -> None:
        scratch = self._context.scratch
        checkpoint = load_checkpoint(self._accelerator, scratch)
        if checkpoint is None:
            if self._context.is_main:
                (scratch / CURVES).unlink(missing_ok=True)
            return
        state, self._best_weights = checkpoint
        self._progress = _Progress(**state["run"])
        self._schedule.load_state_dict(state["schedule"] | {"lr_lambdas": [None] * len(self.groups)})
        if self._context.is_main:
            cut_curves(scratch, last_step=self._progress.step)

    def _train_to(self, target: int) -> None:
        progress, training = self._progress, self._spec.training
        self._model.train()
        since, losses = progress.step, []
        every = max(1, (target - since) // LOSSES_LOGGED_PER_EVALUATION)
        while progress.step < target:
            loss = self._loss(progress.step)
            finite = take_step(
                loss,
                accelerator=self._accelerator,
                model=self._model,
                optimizer=self._optimizer,
                schedule=self._schedule,
                max_grad_norm=training.max_grad_norm,
            )
            progress.step += 1
            if not finite:
                progress.diverged = True
                return
            losses.append(loss.detach())
            if progress.step % every == 0 or progress.step == target:
                mean = self._accelerator.reduce(torch.stack(losses).mean(), reduction="mean").item()
                rate = self._schedule.get_last_lr()[0]
                self._context.log(progress.step, **{"train/loss": mean, "train/learning_rate": rate})
                losses = []

    def _loss(self, step: int) -> torch.Tensor:
        """Mean loss of this process's share of the global batch, weighted so that averages over processes are
        averages over the batch; a process without a share takes part with weight 0."""
        epoch, index = divmod(step, self._steps_per_epoch)
        rows = self._batches_of_epoch(epoch=epoch)[index]
        own = share(rows, self._accelerator)
        weight = len(own) * self._accelerator.num_processes / len(rows)
        own = own or rows[:1]
        ids_BT, mask_BT = pad([self._train.texts[row] for row in own], self._pad_id)
        labels_B = torch.tensor([self._train.labels[row] for row in own])
        device = self._accelerator.device
        logits_BK = self._model(ids_BT.to(device), mask_BT.to(device))
        loss = torch.nn.functional.cross_entropy(logits_BK, labels_B.to(device))
        return loss * weight

    def _score(self, split: Split, *, prefix: str) -> dict[str, float]:
        return _scores(split, self._logits(split), prefix=prefix)

    def _logits(self, split: Split) -> np.ndarray:
        """Logits of every row (N, K), on every process."""
        accelerator = self._accelerator
        model = accelerator.unwrap_model(self._model).eval()
        order = sorted(range(len(split.texts)), key=lambda row: len(split.texts[row]))
        own = share(order, accelerator)
        found: list[tuple[int, list[float]]] = []
        with torch.inference_mode():
            for first in range(0, len(own), EVALUATION_BATCH_SIZE):
                rows = own[first : first + EVALUATION_BATCH_SIZE]
                ids_BT, mask_BT = pad([split.texts[row] for row in rows], self._pad_id)
                logits_BK = model(ids_BT.to(accelerator.device), mask_BT.to(accelerator.device))
                found += zip(rows, logits_BK.float().tolist(), strict=True)
        logits_NK = np.empty((len(split.texts), model.head.out_features))
        for row, logits_K in gather_object(found):
            logits_NK[row] = logits_K
        return logits_NK

    def _weights(self) -> dict[str, torch.Tensor]:
        """A copy on the CPU, held by every process: all of them score the best weights."""
        model = self._accelerator.unwrap_model(self._model)
        return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

    def _return_to_best(self) -> None:
        self._accelerator.unwrap_model(self._model).load_state_dict(self._best_weights)

    def _write(self, test: Split, logits_NK: np.ndarray) -> None:
        model, out = self._accelerator.unwrap_model(self._model), self._context.out
        save_encoder(model.encoder, out, tokenizer_from=self._context.inputs["encoder"])
        save_file(
            {name: value.contiguous() for name, value in model.head.state_dict().items()},
            out / "head.safetensors",
        )
        predictions = {
            "ids": list(test.ids),
            "labels": list(test.labels),
            "predictions": logits_NK.argmax(axis=1).tolist(),
        }
        (out / "test_predictions.json").write_text(json.dumps(predictions), encoding="utf-8")
        groups = [
            {
                "name": group.name,
                "num_parameters": sum(parameter.numel() for parameter in group.parameters),
                "learning_rate": group.learning_rate,
                "weight_decay": group.weight_decay,
            }
            for group in self.groups
        ]
        (out / "parameter_groups.json").write_text(json.dumps(groups, indent=1), encoding="utf-8")


def _scores(split: Split, logits_NK: np.ndarray, *, prefix: str) -> dict[str, float]:
    labels_N, predictions_N = np.asarray(split.labels), logits_NK.argmax(axis=1)
    return {
        f"{prefix}/accuracy": accuracy(labels_N, predictions_N),
        f"{prefix}/macro_f1": macro_f1(labels_N, predictions_N),
        f"{prefix}/loss": cross_entropy(labels_N, logits_NK),
    }
