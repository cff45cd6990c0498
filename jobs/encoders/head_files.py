"""A classifier's head in and out of the folder of its encoder.

`head.safetensors` has the linear classifier as `weight` and `bias`, and the other parts by name, as
`pooler.weight` and `attention.hidden.weight`; `head.json` says how they read the encoder.
"""

import json
from collections.abc import Sequence
from pathlib import Path

from safetensors.torch import load_file, save_file

from layerscope.jobs.artifacts.layer_heads import HEAD
from layerscope.jobs.encoders.heads import Classifier
from layerscope.jobs.encoders.loading import load_encoder

READING = "head.json"


def save_head(model: Classifier, folder: Path, *, labels: Sequence[str]) -> None:
    """Write every part of the head, and how it reads the encoder and what its logits stand for."""
    parts = {
        name.removeprefix("head."): value.contiguous()
        for name, value in model.state_dict().items()
        if not name.startswith("encoder.")
    }
    save_file(parts, folder / HEAD)
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
    (folder / READING).write_text(json.dumps(reading, indent=1) + "\n", encoding="utf-8")


def load_classifier(folder: Path, *, code: str | None = None) -> Classifier:
    """The encoder and head of a fine-tuning's folder, as they predicted there.

    Args:
        code: As of `load_encoder`.
    """
    reading = json.loads((folder / READING).read_text(encoding="utf-8"))
    layers = tuple(reading.pop("layers"))
    del reading["labels"]
    parts = load_file(folder / HEAD)
    encoder = load_encoder(folder, code=code)
    model = Classifier(encoder, num_labels=len(parts["weight"]), layers=layers, **reading)
    head = {name if "." in name else f"head.{name}": value for name, value in parts.items()}
    below = {name: value for name, value in model.state_dict().items() if name.startswith("encoder.")}
    model.load_state_dict(below | head)
    return model
