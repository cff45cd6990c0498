"""Saves and loads a classifier's head in the folder of its encoder."""

from collections.abc import Sequence
from pathlib import Path

from layerscope.jobs.artifacts.classifier_heads import read_head, write_head
from layerscope.jobs.encoders.heads import Classifier
from layerscope.jobs.encoders.loading import load_encoder


def save_head(model: Classifier, folder: Path, *, labels: Sequence[str]) -> None:
    """Write every part of the head, how it reads the encoder, and the labels of its logits."""
    parts = {
        name.removeprefix("head."): value
        for name, value in model.state_dict().items()
        if not name.startswith("encoder.")
    }
    reading = {
        "labels": list(labels),
        "pooling": model.pooling,
        "layers": list(model.layers),
        "layer_pooling": model.layer_pooling,
        "window_pooling": model.window_pooling,
        "num_spans": model.num_spans,
        "num_choices": model.num_choices,
        "judges_choices": model.judges_choices,
    }
    write_head(folder, parts, reading)


def load_classifier(folder: Path, *, code: str | None = None) -> Classifier:
    """The encoder and head of a fine-tuning's folder, with the same predictions.

    Args:
        code: As in `load_encoder`.
    """
    parts, reading = read_head(folder)
    layers = tuple(reading.pop("layers"))
    del reading["labels"]
    encoder = load_encoder(folder, code=code)
    model = Classifier(encoder, num_labels=len(parts["weight"]), layers=layers, **reading)
    head = {name if "." in name else f"head.{name}": value for name, value in parts.items()}
    below = {name: value for name, value in model.state_dict().items() if name.startswith("encoder.")}
    model.load_state_dict(below | head)
    return model
