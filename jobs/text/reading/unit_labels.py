"""The labels of the units of annotated sentences, checked over all splits."""

from collections.abc import Mapping, Sequence

from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence
from layerscope.jobs.text.reading.lookalikes import refuse_lookalikes


def check_unit_labels(
    sentences_by_split: Mapping[str, Sequence[AnnotatedSentence]], names: Mapping[str, str] | None = None
) -> tuple[str, ...]:
    """All labels in order.

    Args:
        names: What messages call a split, as the name of its file.

    Raises:
        ValueError: two labels look the same; their places are sentences, by name or first line.
    """
    place_by_label: dict[str, str] = {}
    for split, sentences in sentences_by_split.items():
        for sentence in sentences:
            for unit in sentence.units:
                if unit.label not in place_by_label:
                    place_by_label[unit.label] = f"{(names or {}).get(split, split)}:{sentence.id}"
    refuse_lookalikes(place_by_label)
    return tuple(sorted(place_by_label))
