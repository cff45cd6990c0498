"""Fine-tunes an encoder with a classifier head; the best weights on the validation split are kept.

Axes: N what is to be predicted of a split, texts or units of them, B the same of a batch, K labels.
"""

import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial

import numpy as np
import torch
from accelerate.utils import set_seed

from layerscope.jobs.artifacts.curves import cut_curves, forget_curves
from layerscope.jobs.artifacts.examples import read_examples, read_label_names, read_target
from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.adaptation import Adaptation
from layerscope.jobs.encoders.checkpoints import (
    load_checkpoint,
    restore_schedule,
    save_checkpoint,
    schedule_state,
)
from layerscope.jobs.encoders.head_files import save_head
from layerscope.jobs.encoders.heads import Classifier
from layerscope.jobs.encoders.learning_rates import check_complete, group_table, parameter_groups
from layerscope.jobs.encoders.loading import load_encoder, load_pooler, save_encoder, snapshot_folder
from layerscope.jobs.encoders.logits import logits_of
from layerscope.jobs.encoders.micro_batches import MicroBatches
from layerscope.jobs.encoders.optimisation import (
    follow_gradient,
    make_bert_adam,
    make_optimizer,
    make_schedule,
)
from layerscope.jobs.encoders.precision import computing_in
from layerscope.jobs.encoders.snapshots import forget_snapshots, hand_over_snapshots, keep_snapshot, steps_of
from layerscope.jobs.encoders.targets import has_learnt, mean_loss, predictions_of, scores_of, written_targets
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.stages import FinetuneSpec
from layerscope.jobs.specs.targets import SELECTING
from layerscope.jobs.text.batches import length_bucketed_batches
from layerscope.jobs.text.inputs import inputs_of
from layerscope.jobs.text.subsets import part_of_train

LOSSES_LOGGED_PER_EVALUATION = 10


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
    best_score: float = -math.inf
    learned: bool = False
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
        self._target = read_target(data)
        self._train = part_of_train(read_examples(data, "train"), size=training.train_size, seed=spec.seed)
        self._validation = read_examples(data, "validation")
        self._start = snapshot_folder(context.inputs["encoder"], spec.snapshot)
        code = code_of(spec.encoder)
        encoder, labels = load_encoder(self._start, code=code), read_label_names(data)
        classifier = Classifier(
            encoder,
            num_labels=len(labels) if self._target == "label" else 1,
            pooling=training.pooling,
            layers=training.layers,
            layer_pooling=training.layer_pooling,
            window_pooling=training.window_pooling,
            num_spans=None if self._train.spans is None else len(self._train.spans[0][0]),
            num_choices=len(labels) if self._target in ("choice", "answers") else None,
            judges_choices=self._target == "answers",
        )
        if self._target == "number":
            torch.nn.init.constant_(classifier.head.bias, float(np.mean(self._train.targets())))
        if classifier.pooler is not None:
            classifier.pooler.load_state_dict(load_pooler(context.inputs["pooler"], code=code))
        self._adaptation = Adaptation(encoder, training, seed=spec.seed)
        self.groups = parameter_groups(encoder, classifier.head_parts(), training)
        check_complete(self.groups, classifier.named_parameters())
        context.say(group_table(self.groups))
        self._pad_id = encoder.config.pad_token_id or 0
        self._steps_per_epoch = math.ceil(len(self._train.texts) / training.batch_size)
        self.num_steps = training.epochs * self._steps_per_epoch
        self.num_evaluations = min(training.epochs * training.evaluations_per_epoch, self.num_steps)
        self._step_by_checkpoint = steps_of(spec.checkpoints, self.num_steps)
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
        logits_NK, scores = self._validate()
        progress.diverged |= not math.isfinite(scores["validation/loss"])
        if progress.diverged:
            self._return_to_best()
            logits_NK, scores = self._validate()
        score = scores[f"validation/{self._spec.selected_by or SELECTING[self._target]}"]
        if score > progress.best_score:
            progress.best_score, progress.best = score, scores
            progress.learned = has_learnt(
                self._train.targets(), self._validation.targets(), logits_NK, self._target
            )
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
        self._progress.micro_batch_size = self._micro_batches.size
        save_checkpoint(
            self._accelerator,
            self._context.scratch,
            progress={"run": vars(self._progress), "schedule": schedule_state(self._schedule)},
            tensors=self._best_weights,
        )

    def finish(self) -> dict[str, float]:
        """Score the best weights once on the test split, write the artifact, and return the summary."""
        self._return_to_best()
        self._adaptation.merge()
        test = read_examples(self._context.inputs["data"], "test")
        logits_NK = self._logits(test)
        if self._context.is_main:
            self._write(test, logits_NK)
        progress = self._progress
        training = self._spec.training
        num_seen = progress.step * training.batch_size
        return (
            progress.best
            | progress.losses
            | scores_of(test.targets(), logits_NK, prefix="test", target=self._target)
            | {
                "train/seconds": progress.seconds,
                "train/steps": progress.step,
                "train/num_texts": len(self._train.texts),
                **self._num_units(),
                "train/examples_per_second": num_seen / max(progress.seconds, 1e-9),
                "train/micro_batch_size": self._micro_batches.examples_at_once(
                    min(training.batch_size, len(self._train.texts))
                ),
                "diverged": float(progress.diverged),
                "learned": float(progress.learned),
            }
        )

    def _num_units(self) -> dict[str, float]:
        return {} if self._train.spans is None else {"train/num_units": len(self._train.targets())}

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

    def _resume(self) -> None:
        scratch = self._context.scratch
        checkpoint = load_checkpoint(self._accelerator, scratch)
        if checkpoint is None:
            if self._context.is_main:
                forget_curves(scratch)
                forget_snapshots(scratch)
            return
        state, self._best_weights = checkpoint
        self._progress = _Progress(**state["run"])
        self._micro_batches.at_most(self._progress.micro_batch_size)
        restore_schedule(self._schedule, state["schedule"])
        if self._context.is_main:
            cut_curves(scratch, last_step=self._progress.step)

    def _train_to(self, target: int) -> None:
        progress = self._progress
        self._model.train()
        since, losses = progress.step, []
        every = max(1, (target - since) // LOSSES_LOGGED_PER_EVALUATION)
        while progress.step < target:
            loss = self._micro_batches.backward(
                self._rows(progress.step), self._mean_loss, weigh=self._train.num_targets
            )
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
            self._keep_snapshots()
            losses.append(loss)
            if progress.step % every == 0 or progress.step == target:
                mean = self._accelerator.reduce(torch.stack(losses).mean(), reduction="mean").item()
                rate = self._schedule.get_last_lr()[0]
                self._context.log(progress.step, **{"train/loss": mean, "train/learning_rate": rate})
                progress.losses = {"train/loss_first": mean} | progress.losses | {"train/loss_last": mean}
                losses = []

    def _keep_snapshots(self) -> None:
        encoder = self._accelerator.unwrap_model(self._model).encoder
        for checkpoint, step in self._step_by_checkpoint.items():
            if step == self._progress.step and self._context.is_main:
                weights = self._adaptation.plain_weights(encoder)
                keep_snapshot(
                    encoder, self._context.scratch, checkpoint, weights=weights, tokenizer_from=self._start
                )

    def _rows(self, step: int) -> Sequence[int]:
        epoch, index = divmod(step, self._steps_per_epoch)
        return self._batches_of_epoch(epoch=epoch)[index]

    def _mean_loss(self, rows: Sequence[int]) -> torch.Tensor:
        logits_BK = self._forward(self._model, self._train, rows)
        return mean_loss(logits_BK, self._train.rows(rows).targets(), self._target)

    def _forward(self, model: torch.nn.Module, split: Split, rows: Sequence[int]) -> torch.Tensor:
        device = self._accelerator.device
        with computing_in(self._spec.training.precision, device):
            return model(*inputs_of(split.rows(rows), self._pad_id).to(device)).float()

    def _validate(self) -> tuple[np.ndarray, dict[str, float]]:
        """Logits (N, K) of the validation split, and their scores."""
        logits_NK, targets = self._logits(self._validation), self._validation.targets()
        return logits_NK, scores_of(targets, logits_NK, prefix="validation", target=self._target)

    def _logits(self, split: Split) -> np.ndarray:
        """Logits (N, K), on every process."""
        model = self._accelerator.unwrap_model(self._model).eval()
        return logits_of(partial(self._forward, model, split), split, self._accelerator)

    def _weights(self) -> dict[str, torch.Tensor]:
        """A copy on the CPU, held by every process: all of them score the best weights."""
        model = self._accelerator.unwrap_model(self._model)
        return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

    def _return_to_best(self) -> None:
        self._accelerator.unwrap_model(self._model).load_state_dict(self._best_weights)

    def _write(self, test: Split, logits_NK: np.ndarray) -> None:
        model, out = self._accelerator.unwrap_model(self._model), self._context.out
        save_encoder(model.encoder, out, tokenizer_from=self._start)
        hand_over_snapshots(
            model.encoder,
            self._context.scratch,
            out,
            self._spec.checkpoints,
            has_diverged=self._progress.diverged,
            tokenizer_from=self._start,
        )
        save_head(model, out, labels=read_label_names(self._context.inputs["data"]))
        predictions = {
            "ids": test.target_ids(),
            "labels": written_targets(test.targets(), self._target),
            "predictions": predictions_of(logits_NK, self._target),
        }
        (out / "test_predictions.json").write_text(json.dumps(predictions), encoding="utf-8")
        groups = [group.as_json() for group in self.groups]
        (out / "parameter_groups.json").write_text(json.dumps(groups, indent=1), encoding="utf-8")
