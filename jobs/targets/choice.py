"""Multiple-choice tasks: one of a row's own choices is right; all rows have the same number of choices."""

from collections.abc import Sequence

import numpy as np

from layerscope.jobs.kernels.probes.conditional_logit import choice_heads
from layerscope.jobs.kernels.probes.refitted_heads import RefittedHeads
from layerscope.jobs.targets.label import beats_most_frequent, mean_cross_entropy, reported_cross_entropy
from layerscope.jobs.targets.task_type import Export, HeadShape, TaskType


def _fit_heads(
    layers: Sequence[np.ndarray],
    targets_N: np.ndarray,
    *,
    num_labels: int,
    penalties: Sequence[float],
    seed: int,
    **_: object,
) -> RefittedHeads:
    """Conditional logit."""
    return choice_heads(layers, targets_N, num_choices=num_labels, penalties=penalties, seed=seed)


def _pipeline(given: str, pair: str, cut: str) -> str:
    return f"""\
chosen = []
for text, of in zip(texts, choices):
    answers = classify([{pair} for pair in of], {cut})
    scores = [answer["score"] for answer in answers]
    chosen.append(scores.index(max(scores)))
"""


CHOICE = TaskType(
    name="choice",
    head=lambda num_labels: HeadShape(1, num_choices=num_labels),
    mean_loss=mean_cross_entropy,
    reported_loss=reported_cross_entropy,
    has_learnt=beats_most_frequent,
    fit_heads=_fit_heads,
    export=Export(
        title="A model that chooses",
        pipeline=_pipeline,
        answer="chosen = logits.view(len(texts), -1).argmax(-1).tolist()",
        in_words=lambda labels: (
            "Its one logit scores a text with one choice; the choice with the highest is the answer."
        ),
    ),
)
