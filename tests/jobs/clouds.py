"""States of layers around known places, as the text_states stage would leave them."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts.layers import Part, write_layers


def cloud(
    labels_N: np.ndarray, *, width: int, gap: float, num_labels: int, seed: int, moved: float = 0.0
) -> np.ndarray:
    """Points of unit spread around a place for each label, `gap` times as widely spread; `moved` shifts the
    places. The places depend on width and number of labels alone, the points on the seed too."""
    places_CD = np.random.default_rng(num_labels).normal(size=(num_labels, width))
    places_CD += moved * np.random.default_rng(99).normal(size=(num_labels, width))
    random = np.random.default_rng(seed)
    return (random.normal(size=(len(labels_N), width)) + gap * places_CD[labels_N]).astype(np.float32)


def labels_of(num_examples: int, num_labels: int) -> np.ndarray:
    """All labels in turn."""
    return np.arange(num_examples) % num_labels


def write_states(
    folder: Path, layers_by_part: dict[str, Sequence[np.ndarray]], labels_by_part: dict[str, np.ndarray]
) -> Path:
    """Layers of train and test, with ids of their own."""
    folder.mkdir(parents=True)
    parts = {
        name: Part(
            [f"{name} {row}" for row in range(len(layers[0]))], labels_by_part[name].tolist(), list(layers)
        )
        for name, layers in layers_by_part.items()
    }
    num_labels = max(int(labels.max()) for labels in labels_by_part.values()) + 1
    write_layers(folder, parts, num_labels=num_labels)
    return folder


def write_labels(folder: Path, names: Sequence[str]) -> Path:
    """What a prepared task says of its labels."""
    folder.mkdir(parents=True)
    (folder / "labels.json").write_text(json.dumps(list(names)), encoding="utf-8")
    return folder


def clouds(folder: Path, gaps: Sequence[float], *, num_labels: int = 4, sizes=(120, 90), **options) -> Path:
    """A layer for each gap."""
    labels = {name: labels_of(size, num_labels) for name, size in zip(("train", "test"), sizes, strict=True)}
    layers = {
        name: [
            cloud(
                of,
                gap=gap,
                num_labels=num_labels,
                seed=2 * layer + (name == "test"),
                **{"width": 5} | options,
            )
            for layer, gap in enumerate(gaps)
        ]
        for name, of in labels.items()
    }
    return write_states(folder, layers, labels)
