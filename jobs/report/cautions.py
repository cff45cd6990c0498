"""What a reader of the results should know of how a further pretraining went."""

from collections.abc import Mapping

MOST_PASSES = 40
"""Beyond so many passes over a corpus a caution is due: TREC's 117 did harm (Sun et al. 2019, table 5)."""
BALANCED = (0.4, 0.6)
"""Between these the share of true next sentences is about half."""


def cautions_of(metrics: Mapping[str, float]) -> list[str]:
    """Cautions from a pretraining's metrics; most give none."""
    found = []
    passes, true = metrics.get("train/passes", 0.0), metrics.get("train/next_sentence_share")
    if passes > MOST_PASSES:
        found.append(
            f"the corpus is passed over {passes:.0f} times, and more than {MOST_PASSES} may do harm: "
            "fewer steps or more texts would be right"
        )
    if true is not None and not BALANCED[0] <= true <= BALANCED[1]:
        found.append(
            f"{true:.0%} of the sentence pairs are true ones, not about half, as texts of one sentence give "
            "none: longer texts, or next_sentence: false, would be right"
        )
    return found
