import pytest

from layerscope.jobs.report.cautions import cautions_of


@pytest.mark.parametrize(("share", "told"), [(0.4, 0), (0.6, 0), (0.39, 1), (0.61, 1)])
def test_a_share_of_true_pairs_far_from_half_is_a_caution(share, told):
    assert len(cautions_of({"train/passes": 1.0, "train/next_sentence_share": share})) == told


def test_many_passes_are_a_caution():
    assert cautions_of({"train/passes": 40.0}) == []
    assert cautions_of({"train/passes": 41.0})[0].startswith("41 epochs over the corpus")
