"""Control tasks: one label a type, shares kept, and selectivity of a probe that learns by heart."""

import numpy as np
import pytest

from layerscope.jobs.kernels.probes.control_tasks import control_labels
from layerscope.jobs.kernels.probes.linear_probes import linear_probes


def test_a_type_has_one_label_wherever_it_occurs():
    types = np.random.default_rng(0).integers(50, size=400)
    labels = control_labels(types, [0, 1, 2], num_classes=3, seed=0)
    assert all(len(set(labels[types == type_id])) == 1 for type_id in range(50))
    assert set(labels) == {0, 1, 2}


def test_a_types_label_does_not_depend_on_the_types_beside_it():
    options = {"train_labels": [0, 1, 1, 2], "num_classes": 3, "seed": 4}
    together = control_labels([7, 3, 9, 3], **options)
    assert control_labels([3], **options) == together[1] == together[3]
    assert control_labels([9, 7], **options).tolist() == [together[2], together[0]]


def test_labels_have_the_shares_of_train_and_classes_not_shown_have_none():
    labels = control_labels(np.arange(4000), [1, 1, 1, 3], num_classes=6, seed=0)
    counts = np.bincount(labels, minlength=6) / 4000
    # The standard error of a share over 4000 types is 0.007.
    assert counts == pytest.approx([0, 0.75, 0, 0.25, 0, 0], abs=0.03)
    assert counts[[0, 2, 4, 5]].sum() == 0


def test_seeds_draw_different_labels_and_one_seed_the_same():
    first, again, other = (
        control_labels(np.arange(100), [0, 1], num_classes=2, seed=seed) for seed in (0, 0, 1)
    )
    assert (first == again).all() and (first != other).any()


def test_what_a_layer_knows_is_selective_and_what_is_learnt_by_heart_is_not():
    """Layer 0 shows the label; layer 1 shows only which type it is, so both tasks are learnt alike."""
    rng = np.random.default_rng(0)
    types = rng.integers(20, size=800)
    labels = types % 2
    known = (3 * labels[:, None] + rng.normal(size=(800, 20))).astype(np.float32)
    identity = (8 * np.eye(20)[types] + rng.normal(size=(800, 20))).astype(np.float32)
    control = control_labels(types, labels[:400], num_classes=2, seed=0)

    def probe(targets):
        layers = known, identity
        train, test = [layer[:400] for layer in layers], [layer[400:] for layer in layers]
        return linear_probes(train, targets[:400], test, targets[400:], num_classes=2, seed=0)

    selectivity_L = probe(labels).accuracy_L - probe(control).accuracy_L
    assert selectivity_L[0] > 0.25
    assert selectivity_L[1] == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize(
    ("types", "labels", "message"),
    [
        ([-1, 2], [0, 1], "integers of at least 0"),
        ([0.5], [0, 1], "integers of at least 0"),
        ([[1]], [0, 1], "a list of integers"),
        ([1], [], "one or more integers"),
        ([1], [2], "in 0 to 1"),
    ],
)
def test_what_is_no_list_of_types_or_labels_is_refused(types, labels, message):
    with pytest.raises(ValueError, match=message):
        control_labels(types, labels, num_classes=2, seed=0)
