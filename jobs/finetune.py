"""Fine-tunes an encoder with a classifier head; the best weights on the validation split are kept.

Axes: N what is to be predicted of a split, texts or units of them, B the same of a batch, K labels.
"""

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from accelerate.utils import set_seed
from torch import nn

from layerscope.jobs.artifacts.examples import read_examples, read_label_names, read_target
from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.context import StageContext
from layerscope.jobs.encoders.adaptation import Adaptation
from layerscope.jobs.encoders.head_files import save_head
from layerscope.jobs.encoders.heads import Classifier
from layerscope.jobs.encoders.loading import load_encoder, load_pooler, save_encoder, snapshot_folder
from layerscope.jobs.own_code import code_of
from layerscope.jobs.specs.stages import FinetuneSpec
from layerscope.jobs.specs.targets import selecting_name
from layerscope.jobs.targets.all import TARGETS
from layerscope.jobs.targets.own_metrics import load_metric
from layerscope.jobs.text.reading.subsets import part_of_train
from layerscope.jobs.text.tokenising.inputs import inputs_of
from layerscope.jobs.training.epochs import Epochs
from layerscope.jobs.training.learning_rates import check_complete, group_table, parameter_groups
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
from layerscope.jobs.training.precision import computing_in
from layerscope.jobs.training.results import summary, write_results
from layerscope.jobs.training.snapshots import hand_over_snapshots, keep_snapshot, steps_of

LOSSES_LOGGED_PER_EVALUATION = 10


def run(spec: FinetuneSpec, context: StageContext) -> dict[str, float]:
    """Train to the end; returns the scores of the best weights on validation and test."""
    return train(begin(spec, context))


def begin(spec: FinetuneSpec, context: StageContext) -> TrainingLoop:
    """One fine-tuning that is advanced an evaluation at a time, from its checkpoint where there is one."""
    return TrainingLoop(Finetuning(spec, context), context)


class Finetuning(Learner):
    """An encoder with a head on the examples of a task."""

    optimisation: Optimisation[Classifier]

    def __init__(self, spec: FinetuneSpec, context: StageContext) -> None:
        self._spec, self._context = spec, context
        training, data = spec.training, context.inputs["data"]
        set_seed(spec.seed)
        self._task = TARGETS[read_target(data)]
        self._own = load_metric(spec.selected_by, context.inputs.get("metric"))
        self._train = part_of_train(read_examples(data, "train"), size=training.train_size, seed=spec.seed)
        self._validation = read_examples(data, "validation")
        self._start = snapshot_folder(context.inputs["encoder"], spec.snapshot)
        classifier = self._classifier()
        self._adaptation = Adaptation(classifier.encoder, training, seed=spec.seed)
        self._groups = parameter_groups(classifier.encoder, classifier.head_parts(), training)
        check_complete(self._groups, classifier.named_parameters())
        context.say(group_table(self._groups))
        self._pad_id = classifier.encoder.config.pad_token_id or 0
        lengths = [len(text) for text in self._train.texts]
        self._epochs = Epochs(lengths, batch_size=training.batch_size, seed=spec.seed)
        num_steps = training.epochs * self._epochs.num_batches
        number = training.epochs * training.evaluations_per_epoch
        self.course = Course(
            points_of_evaluations(num_steps, number),
            selects=True,
            losses_per_point=LOSSES_LOGGED_PER_EVALUATION,
            logs_learning_rate=True,
        )
        self._step_by_checkpoint = steps_of(spec.checkpoints, num_steps)
        self.optimisation = Optimisation(
            classifier,
            self._groups,
            context,
            num_steps=num_steps,
            warmup=training.warmup,
            max_grad_norm=training.max_grad_norm,
            kind=training.optimizer,
            schedule=training.schedule,
            micro_batch_size=context.micro_batch_size,
        )

    def next_batch(self, step: int) -> Batch:
        return Batch(self._epochs.batch(step), self._mean_loss, self._train.num_targets)

    def after_step(self, step: int) -> None:
        encoder = self.optimisation.module.encoder
        for checkpoint, kept_at in self._step_by_checkpoint.items():
            if step == kept_at and self._context.is_main:
                weights = self._adaptation.plain_weights(encoder)
                keep_snapshot(
                    encoder, self._context.scratch, checkpoint, weights=weights, tokenizer_from=self._start
                )

    def evaluate(self) -> Evaluation:
        logits_NK, targets = self._logits(self._validation), self._validation.targets()
        scores = self._task.scores(targets, logits_NK, prefix="validation", own=self._own)
        learned = self._task.has_learnt(self._train.targets(), targets, logits_NK)
        by = selecting_name(self._spec.selected_by, self._task.name)
        return Evaluation(scores, scores[f"validation/{by}"], {"learned": float(learned)})

    def finish(self, progress: Progress) -> dict[str, float]:
        self._adaptation.merge()
        test = read_examples(self._context.inputs["data"], "test")
        logits_NK = self._logits(test)
        if self._context.is_main:
            self._write(test, logits_NK, has_diverged=progress.diverged)
        training, num_rows = self._spec.training, len(self._train.texts)
        counts = {"train/num_texts": num_rows}
        if self._train.spans is not None:
            counts["train/num_units"] = len(self._train.targets())
        at_once = self.optimisation.micro_batches.examples_at_once(min(training.batch_size, num_rows))
        return (
            progress.best
            | {f"{name}_first": value for name, value in progress.first_losses.items()}
            | {f"{name}_last": value for name, value in progress.last_losses.items()}
            | self._task.scores(test.targets(), logits_NK, prefix="test", own=self._own)
            | summary(progress, counts, batch_size=training.batch_size)
            | {
                "train/micro_batch_size": at_once,
                "diverged": float(progress.diverged),
                "learned": progress.about_best.get("learned", 0.0),
            }
        )

    def _classifier(self) -> Classifier:
        training, labels = self._spec.training, read_label_names(self._context.inputs["data"])
        code = code_of(self._spec.encoder)
        classifier = Classifier(
            load_encoder(self._start, code=code),
            pooling=training.pooling,
            layers=training.layers,
            layer_pooling=training.layer_pooling,
            window_pooling=training.window_pooling,
            num_spans=None if self._train.spans is None else len(self._train.spans[0][0]),
            **self._task.head(len(labels))._asdict(),
        )
        if self._task.first_bias is not None:
            nn.init.constant_(classifier.head.bias, self._task.first_bias(self._train.targets()))
        if classifier.pooler is not None:
            classifier.pooler.load_state_dict(load_pooler(self._context.inputs["pooler"], code=code))
        return classifier

    def _mean_loss(self, rows: Sequence[int]) -> torch.Tensor:
        logits_BK = self._forward(self.optimisation.model, self._train, rows)
        return self._task.mean_loss(logits_BK, self._train.rows(rows).targets())

    def _forward(self, model: nn.Module, split: Split, rows: Sequence[int]) -> torch.Tensor:
        device = self.optimisation.accelerator.device
        with computing_in(self._spec.training.precision, device):
            logits_BK: torch.Tensor = model(*inputs_of(split.rows(rows), self._pad_id).to(device))
            return logits_BK.float()

    def _logits(self, split: Split) -> np.ndarray:
        """Logits (N, K), on every process."""
        model = self.optimisation.module.eval()
        return logits_of(partial(self._forward, model, split), split, self.optimisation.accelerator)

    def _write(self, test: Split, logits_NK: np.ndarray, *, has_diverged: bool) -> None:
        model, out = self.optimisation.module, self._context.out
        save_encoder(model.encoder, out, tokenizer_from=self._start)
        hand_over_snapshots(
            model.encoder,
            self._context.scratch,
            out,
            self._spec.checkpoints,
            has_diverged=has_diverged,
            tokenizer_from=self._start,
        )
        save_head(model, out, labels=read_label_names(self._context.inputs["data"]))
        write_results(out, self._task, test, logits_NK, self._groups)
