"""Warnings about a continued pretraining."""

from collections.abc import Mapping

MOST_PASSES = 40
"""Epochs over a corpus above which to warn: TREC's 117 hurt accuracy (Sun et al. 2019, table 5)."""
BALANCED = (0.4, 0.6)
"""Share of true next sentences that counts as about half."""


def cautions_of(metrics: Mapping[str, float]) -> list[str]:
    """Warnings derived from a pretraining's metrics; usually none."""
    found = []
    passes, true = metrics.get("train/passes", 0.0), metrics.get("train/next_sentence_share")
    if passes > MOST_PASSES:
        found.append(
            f"{passes:.0f} epochs over the corpus; more than {MOST_PASSES} may hurt: "
            "use fewer steps or more texts"
        )
    if true is not None and not BALANCED[0] <= true <= BALANCED[1]:
        found.append(
            f"{true:.0%} of the sentence pairs are true next sentences instead of about half, because texts "
            "of one sentence give none: use longer texts or next_sentence: false"
        )
    return found
