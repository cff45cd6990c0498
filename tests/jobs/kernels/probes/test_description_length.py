"""Online code: what random and separable labels cost, the plain loop, and bounds that every code keeps."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from layerscope.jobs.kernels.probes.description_length import online_code

PORTIONS = (0.05, 0.1, 0.25, 0.5, 1.0)


def layers_and_labels(*, num_examples=400, width=8, num_classes=3, seed=0):
    """Layer 0 is noise, layer 1 shows the labels dimly and layer 2 clearly."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(num_classes, size=num_examples)
    centres = rng.normal(size=(num_classes, width))
    noise = rng.normal(size=(3, num_examples, width))
    return [noise[layer] + strength * centres[labels] for layer, strength in enumerate((0, 0.7, 6))], labels


def code(layers, labels, **options):
    return online_code(layers, labels, **{"portions": PORTIONS, "num_classes": 3, "seed": 0, **options})


def test_labels_that_a_layer_does_not_know_are_not_compressed_and_clear_ones_are():
    compression_L = code(*layers_and_labels()).compression_L
    # What was fitted to chance costs a few per cent.
    assert compression_L[0] == pytest.approx(1, abs=0.08)
    assert compression_L[0] + 0.1 < compression_L[1] < compression_L[2]
    # 20 examples of 400 are told in the uniform code, so no layer could reach 20.
    assert 5 < compression_L[2] < 20


def test_shuffled_labels_are_not_compressed():
    layers, labels = layers_and_labels()
    shuffled = np.random.default_rng(1).permutation(labels)
    assert code(layers, shuffled).compression_L == pytest.approx(1, abs=0.08)


def test_the_length_is_that_of_the_plain_loop_over_examples():
    layers, labels = layers_and_labels(num_examples=120)
    result = code(layers, labels, penalties=(0.1,), seed=5)
    order = np.random.default_rng(5).permutation(120)
    labels = labels[order]
    ends = [6, 12, 30, 60, 120]
    for index, layer in enumerate(layers):
        bits = ends[0] * np.log2(3)
        for start, end in zip(ends[:-1], ends[1:], strict=True):
            known, coming = layer[order][:start], layer[order][start:end]
            mean, deviation = known.mean(axis=0), known.std(axis=0)
            probe = LogisticRegression(C=1 / (0.1 * start), tol=1e-10, max_iter=5000)
            probe.fit((known - mean) / deviation, labels[:start])
            chances = probe.predict_proba((coming - mean) / deviation)
            for row, label in zip(chances, labels[start:end], strict=True):
                chance = row[list(probe.classes_).index(label)] if label in probe.classes_ else 0
                bits -= np.log2((start * chance + 1) / (start + 3))
        # The probe solves its objective to 1e-5 of itself, which moves weights by some 1e-3 at most.
        assert result.bits_L[index] == pytest.approx(bits, rel=2e-3)


def test_the_mixture_costs_no_more_than_the_best_penalty_and_the_choice_among_them():
    layers, labels = layers_and_labels()
    penalties = (1e-3, 1e-1, 10.0)
    alone_GL = np.array([code(layers, labels, penalties=(penalty,)).bits_L for penalty in penalties])
    mixed_L = code(layers, labels, penalties=penalties).bits_L
    best_L = alone_GL.min(axis=0)
    assert (best_L - 1e-9 <= mixed_L).all() and (mixed_L <= best_L + np.log2(3) + 1e-9).all()


def test_compression_is_beside_the_uniform_code():
    result = code(*layers_and_labels())
    assert result.uniform_bits == pytest.approx(400 * np.log2(3))
    assert result.compression_L == pytest.approx(result.uniform_bits / result.bits_L)


def test_a_layer_has_the_same_length_alone():
    layers, labels = layers_and_labels(num_examples=100)
    together = code(layers, labels)
    for index in range(3):
        assert code(layers[index : index + 1], labels).bits_L[0] == together.bits_L[index]


def test_classes_not_yet_shown_have_a_finite_cost():
    """Of 50 classes most are new in most blocks."""
    layers, labels = layers_and_labels(num_examples=60, num_classes=50)
    result = code(layers, labels, num_classes=50)
    # Nobody pays more than log2(n + C), with n below 60.
    assert np.isfinite(result.bits_L).all() and (result.bits_L < 60 * np.log2(110)).all()


def test_a_layer_that_is_the_same_for_all_examples_costs_the_entropy_of_the_labels():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1], [700, 100]))
    result = code([np.ones((800, 4))], labels, num_classes=2)
    shares = np.array([7, 1]) / 8
    entropy_bits = -800 * (shares * np.log2(shares)).sum()
    # 5 % of the examples are told in the uniform code, the shares have to be learnt from them.
    assert result.bits_L[0] == pytest.approx(entropy_bits, rel=0.1)


def test_small_data_merge_the_first_portions():
    layers, labels = layers_and_labels(num_examples=50)
    ends = [1, 2, 4, 7, 13, 25, 50]
    merged = code(layers, labels, portions=[*((end - 0.5) / 50 for end in ends[:-1]), 1])
    other = code(layers, labels, portions=[*((end - 0.5) / 50 for end in ends[1:-1]), 1])
    whole = online_code(layers, labels, num_classes=3, seed=0)
    assert whole.bits_L.tolist() == merged.bits_L.tolist() != other.bits_L.tolist()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 2}, "the code labels run from 0 to 2"),
        ({"portions": (0.5,)}, "portions must rise from above 0 to 1"),
        ({"portions": (0.5, 0.2, 1.0)}, "portions must rise"),
        ({"portions": (0.0, 1.0)}, "portions must rise from above 0"),
        ({"penalties": ()}, "one or more positive numbers"),
    ],
)
def test_settings_that_make_no_code_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        code(*layers_and_labels(num_examples=20), **options)


def test_one_class_needs_no_code():
    with pytest.raises(ValueError, match="at least 2 classes"):
        code([np.zeros((5, 2))], np.zeros(5, dtype=np.int64), num_classes=1)
