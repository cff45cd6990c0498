"""Free and vetoed linkage agree where nothing is vetoed, and a veto is inherited."""

import numpy as np
import pytest

from layerscope.jobs.kernels.directprobe.linkage import VetoedLinkage, free_linkage


@pytest.mark.parametrize("seed", range(5))
def test_without_vetoes_both_linkages_merge_the_same(seed):
    rng = np.random.default_rng(seed)
    points, labels = rng.normal(size=(60, 2)), rng.integers(3, size=60)
    free = free_linkage(points, labels)
    linkage = VetoedLinkage(points, np.ones(60), labels)
    merges = []
    while pair := linkage.next_pair():
        merges.append(pair)
        linkage.merge(*pair)
    assert [tuple(sorted(pair)) for pair in free.merges_T2.tolist()] == merges
    assert len(merges) == 57 and len(np.unique(free.clusters_after(57))) == 3


def test_whatever_contains_a_vetoed_pair_is_vetoed():
    linkage = VetoedLinkage(np.array([[0.0], [1.0], [10.0], [12.0]]), np.ones(4), np.zeros(4))
    assert linkage.next_pair() == (0, 1)
    linkage.merge(0, 1)
    assert linkage.next_pair() == (2, 3)
    linkage.veto(2, 3, 7)
    assert linkage.next_pair() == (0, 2)
    linkage.merge(0, 2)
    assert linkage.next_pair() is None
    assert linkage.vetoes_between(np.array([0, 3])).tolist() == [[-1, 7], [7, -1]]


def test_clusters_of_different_labels_hold_no_pair_apart():
    linkage = VetoedLinkage(np.array([[0.0], [5.0], [2.0], [6.0]]), np.ones(4), np.array([1, 0, 1, 0]))
    assert linkage.next_pair() == (1, 3)
    linkage.veto(1, 3, 0)
    assert linkage.next_pair() == (0, 2)
    linkage.merge(0, 2)
    assert linkage.next_pair() is None
    assert linkage.is_active_K.tolist() == [True, True, False, True]
    assert linkage.vetoes_between(np.array([0, 1, 3])).tolist() == [[-1, -1, -1], [-1, -1, 0], [-1, 0, -1]]
