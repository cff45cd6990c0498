"""Versions of specs that were raised for some of their results only."""

import pytest

from layerscope.jobs.measures.layer_dropping.specs import RefitSpec
from layerscope.jobs.measures.probe.specs import DescriptionLengthSpec, ProbeSpec


@pytest.mark.parametrize("spec", [ProbeSpec, RefitSpec])
def test_only_what_reads_labels_has_the_version_of_the_new_penalty(spec):
    assert spec().version == spec(target="label").version == DescriptionLengthSpec().version == 2
    assert [spec(target=target).version for target in ("number", "choice")] == [1, 1]
