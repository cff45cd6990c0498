"""Fine-tunes an encoder with a classifier head; the best weights on the validation split are kept."""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import torch
from accelerate.utils import gather_object, set_seed

from jobs.context import CURVES, StageContext
from jobs.encoders.adaptation import Adaptation
from jobs.encoders.checkpoints import cut_curves, load_checkpoint, save_checkpoint
from jobs.encoders.head_files import save_head
from jobs.encoders.heads import Classifier
from jobs.encoders.learning_rates import check_complete, group_table, parameter_groups
from jobs.encoders.loading import load_encoder, load_pooler, save_encoder, snapshot_folder
from jobs.encoders.micro_batches import MicroBatches, in_batches
from jobs.encoders.optimisation import follow_gradient, make_bert_adam, make_optimizer, make_schedule
from jobs.encoders.precision import computing_in
from jobs.numerics.majority import beats_majority
from jobs.numerics.scores import accuracy, cross_entropy, macro_f1
from jobs.processes import share
from jobs.specs.stages import FinetuneSpec
from jobs.text.batches import length_bucketed_batches
from jobs.text.inputs import groups_of_rows, inputs_of
from jobs.text.prepared import Split, read_labels, read_split
from jobs.text.subsets import part_of_train

LOSSES_LOGGED_PER_EVALUATION = 10
EVALUATION_BATCH_SIZE = 64
"""Texts, or windows of texts, that are scored at once."""


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
    losses: dict[str, float] = field(default_factory=dict)
    """First and last of the training losses that were logged, by metric."""
    micro_batch_size: int | None = None


class Finetuning:
    """One fine-tuning run that can be advanced one evaluation at a time, saved, and resumed from scratch."""

    def __init__(self, spec: FinetuneSpec, context: StageContext) -> None:
        assert context.accelerator is not None
        self._spec, self._context, self._accelerator = spec, context, context.accelerator
        training, data = spec.training, context.inputs["data"]
        set_seed(spec.seed)
        self._train = part_of_train(read_split(data, "train"), size=training.train_size, seed=spec.seed)
        self._validation = read_split(data, "validation")
        self._start = snapshot_folder(context.inputs["encoder"], spec.snapshot)
        encoder = load_encoder(self._start)
        classifier = Classifier(
            encoder,
            num_labels=len(read_labels(data)),
            pooling=training.pooling,
            layers=training.layers,
            layer_pooling=training.layer_pooling,
            window_pooling=training.window_pooling,
        )
        if classifier.pooler is not None:
            classifier.pooler.load_state_dict(load_pooler(context.inputs["pooler"]))
        self._adaptation = Adaptation(encoder, training, seed=spec.seed)
        self.groups = parameter_groups(encoder, classifier.head_parts(), training)
        check_complete(self.groups, classifier.named_parameters())
        context.say(group_table(self.groups))
        self._pad_id = encoder.config.pad_token_id or 0
        self._steps_per_epoch = math.ceil(len(self._train.texts) / training.batch_size)
        self.num_steps = training.epochs * self._steps_per_epoch
        self.num_evaluations = min(training.epochs * training.evaluations_per_epoch, self.num_steps)
        optimizer = self._make_optimizer()
        self._model, self._optimizer = self._accelerator.prepare(classifier, optimizer)
        self._micro_batches = MicroBatches(
            context.micro_batch_size, accelerator=self._accelerator, model=self._model, say=context.say
        )
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
        self._progress.micro_batch_size = self._micro_batches.size
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
        self._adaptation.merge()
        test = read_split(self._context.inputs["data"], "test")
        logits_NK = self._logits(test)
        if self._context.is_main:
            self._write(test, logits_NK)
        progress = self._progress
        training = self._spec.training
        num_seen = progress.step * training.batch_size
        return (
            progress.best
            | progress.losses
            | _scores(test, logits_NK, prefix="test")
            | {
                "train/seconds": progress.seconds,
                "train/steps": progress.step,
                "train/num_texts": len(self._train.texts),
                "train/examples_per_second": num_seen / max(progress.seconds, 1e-9),
                "train/micro_batch_size": self._micro_batches.examples_at_once(
                    min(training.batch_size, len(self._train.texts))
                ),
                "diverged": float(progress.diverged),
                "learned": float(self._has_learnt()),
            }
        )

    def _make_optimizer(self) -> torch.optim.Optimizer:
        """The optimiser of the recipe; its schedule and the bound that is left to the gradient as a whole."""
        training = self._spec.training
        if training.optimizer == "bert-adam":
            optimizer = make_bert_adam(self.groups, max_grad_norm=training.max_grad_norm)
            shape, self._max_grad_norm = "original", math.inf
        else:
            optimizer = make_optimizer(self.groups)
            shape, self._max_grad_norm = training.schedule, training.max_grad_norm
        self._schedule = make_schedule(
            optimizer, num_steps=self.num_steps, warmup=training.warmup, shape=shape
        )
        return optimizer

    def _has_learnt(self) -> bool:
        """Whether the best validation accuracy is above that of always answering the training majority.

        One-sided, at 95 %; the best of several evaluations passes a little more easily than a single one.
        """
        labels = self._validation.labels
        num_correct = round(self._progress.best_accuracy * len(labels))
        return beats_majority(self._train.labels, labels, num_correct)

    def _resume(self) -> None:
        scratch = self._context.scratch
        checkpoint = load_checkpoint(self._accelerator, scratch)
        if checkpoint is None:
            if self._context.is_main:
                (scratch / CURVES).unlink(missing_ok=True)
            return
        state, self._best_weights = checkpoint
        self._progress = _Progress(**state["run"])
        self._micro_batches.size = _smaller(self._micro_batches.size, self._progress.micro_batch_size)
        self._schedule.load_state_dict(state["schedule"] | {"lr_lambdas": [None] * len(self.groups)})
        if self._context.is_main:
            cut_curves(scratch, last_step=self._progress.step)

    def _train_to(self, target: int) -> None:
        progress = self._progress
        self._model.train()
        since, losses = progress.step, []
        every = max(1, (target - since) // LOSSES_LOGGED_PER_EVALUATION)
        while progress.step < target:
            loss = self._micro_batches.backward(self._rows(progress.step), self._mean_loss)
            finite = follow_gradient(
                accelerator=self._accelerator,
                model=self._model,
                optimizer=self._optimizer,
                schedule=self._schedule,
                max_grad_norm=self._max_grad_norm,
            )
            progress.step += 1
            if not finite:
                progress.diverged = True
                return
            losses.append(loss)
            if progress.step % every == 0 or progress.step == target:
                mean = self._accelerator.reduce(torch.stack(losses).mean(), reduction="mean").item()
                rate = self._schedule.get_last_lr()[0]
                self._context.log(progress.step, **{"train/loss": mean, "train/learning_rate": rate})
                progress.losses = {"train/loss_first": mean} | progress.losses | {"train/loss_last": mean}
                losses = []

    def _rows(self, step: int) -> Sequence[int]:
        epoch, index = divmod(step, self._steps_per_epoch)
        return self._batches_of_epoch(epoch=epoch)[index]

    def _mean_loss(self, rows: Sequence[int]) -> torch.Tensor:
        logits_BK = self._logits_of(self._model, self._train, rows)
        labels_B = torch.tensor([self._train.labels[row] for row in rows], device=logits_BK.device)
        return torch.nn.functional.cross_entropy(logits_BK, labels_B)

    def _logits_of(self, model: torch.nn.Module, split: Split, rows: Sequence[int]) -> torch.Tensor:
        device = self._accelerator.device
        with computing_in(self._spec.training.precision, device):
            return model(*inputs_of(split.rows(rows), self._pad_id).to(device)).float()

    def _score(self, split: Split, *, prefix: str) -> dict[str, float]:
        return _scores(split, self._logits(split), prefix=prefix)

    def _logits(self, split: Split) -> np.ndarray:
        """Logits of every row (N, K), on every process."""
        accelerator = self._accelerator
        model = accelerator.unwrap_model(self._model).eval()
        order = sorted(range(len(split.texts)), key=lambda row: len(split.texts[row]))
        own = share(order, accelerator)
        with torch.inference_mode():
            batches = [
                scored
                for rows in groups_of_rows(split, own, most_windows=EVALUATION_BATCH_SIZE)
                for scored in in_batches(rows, partial(self._logits_of, model, split), size=len(rows))
            ]
        found = [pair for rows, logits_BK in batches for pair in zip(rows, logits_BK.tolist(), strict=True)]
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
        save_encoder(model.encoder, out, tokenizer_from=self._start)
        save_head(model, out, labels=read_labels(self._context.inputs["data"]))
        predictions = {
            "ids": list(test.ids),
            "labels": list(test.labels),
            "predictions": logits_NK.argmax(axis=1).tolist(),
        }
        (out / "test_predictions.json").write_text(json.dumps(predictions), encoding="utf-8")
        groups = [group.as_json() for group in self.groups]
        (out / "parameter_groups.json").write_text(json.dumps(groups, indent=1), encoding="utf-8")


def _scores(split: Split, logits_NK: np.ndarray, *, prefix: str) -> dict[str, float]:
    labels_N, predictions_N = np.asarray(split.labels), logits_NK.argmax(axis=1)
    return {
        f"{prefix}/accuracy": accuracy(labels_N, predictions_N),
        f"{prefix}/macro_f1": macro_f1(labels_N, predictions_N),
        f"{prefix}/loss": cross_entropy(labels_N, logits_NK),
    }


def _smaller(size: int | None, other: int | None) -> int | None:
    return min((each for each in (size, other) if each is not None), default=None)
