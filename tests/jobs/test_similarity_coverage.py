"""Intervals that a stage logs hold the mean value of such samples about as often as they say."""

import numpy as np
import pytest
from scipy import stats

from layerscope.jobs.artifacts.layers import Part, write_layers
from layerscope.jobs.measures.similarity import further_stage as similarity
from layerscope.jobs.measures.similarity.specs import SimilaritySpec
from tests.jobs.tiny import curve, make_context, write_rows

pytestmark = pytest.mark.slow

NUM_SAMPLES, NUM_EXAMPLES, WIDTH, RANK = 100, 120, 12, 4
MEASURES = (
    "cka",
    "biased_cka",
    "minibatch_cka",
    "procrustes",
    "rbf",
    "rsa",
    "leverage",
    "partial_cka",
    "mutual_knn",
)
IDS = [str(row) for row in range(2 * NUM_EXAMPLES, 3 * NUM_EXAMPLES)]
"""Of the test split, after as many rows of the others."""


def layers_of(random, words_NV):
    """Two layers with a common part of low rank, what the words tell, and noise that fades by direction."""
    fixed = np.random.default_rng(0)
    maps = fixed.normal(size=(3, RANK, WIDTH))
    from_words = fixed.normal(size=(words_NV.shape[1], WIDTH)) / 8
    shared = random.normal(size=(NUM_EXAMPLES, RANK)) * np.linspace(2, 0.5, RANK)
    noise = random.normal(size=(2, NUM_EXAMPLES, WIDTH)) * np.linspace(1.5, 0.3, WIDTH)
    turn = np.linalg.qr(fixed.normal(size=(WIDTH, WIDTH)))[0]
    words = words_NV @ from_words
    first = shared @ maps[0] / 2 + words + noise[0]
    return first, shared @ (maps[0] + maps[1]) * 0.3 + words + noise[1] @ turn


@pytest.mark.parametrize("measure", MEASURES)
def test_intervals_hold_the_mean_value_as_often_as_they_say(tmp_path, measure):
    values, lows, highs = [], [], []
    for sample in range(NUM_SAMPLES):
        folder = tmp_path / str(sample)
        random = np.random.default_rng(sample)
        texts = random.integers(5, 15, size=(NUM_EXAMPLES, 6))
        words_NV = (texts[:, :, None] == np.arange(5, 15)).sum(axis=1)
        inputs = {}
        for name, layer in zip(("states", "other"), layers_of(random, words_NV), strict=True):
            inputs[name] = folder / name
            inputs[name].mkdir(parents=True)
            part = Part(IDS, [0] * NUM_EXAMPLES, [layer.astype(np.float32)])
            write_layers(inputs[name], {"test": part}, num_labels=1)
        if measure == "partial_cka":
            rows = 3 * texts.tolist()
            inputs["data"] = write_rows(folder / "task", rows, [0] * len(rows), num_held_out=NUM_EXAMPLES)
        context = make_context(folder, **inputs)
        similarity.run(SimilaritySpec(measure=measure, against="other", batch_size=16), context)
        for found, ending in ((values, ""), (lows, "/low"), (highs, "/high")):
            found.append(curve(context, f"same_layer{ending}")[0])
    expected = np.mean(values)
    held = sum(low <= expected <= high for low, high in zip(lows, highs, strict=True))
    # Coverage between 90 and 98 % is outside these bounds once in two thousand simulations at each end.
    assert stats.binom.ppf(0.0005, NUM_SAMPLES, 0.9) <= held <= stats.binom.ppf(0.9995, NUM_SAMPLES, 0.98)
    assert np.mean(np.subtract(highs, lows)) < 4.6 * np.std(values) * 1.3
