"""The stage that looks for blocks: planted ones have their layers' numbers, few layers have none."""

import numpy as np
import pytest

from layerscope.jobs.artifacts.layer_blocks import BLOCKS, NUMBERS, read_layer_blocks
from layerscope.jobs.artifacts.maps import LayerMap, write_map
from layerscope.jobs.measures.similarity import block_stage as blocks
from layerscope.jobs.measures.similarity.specs import BlocksSpec
from tests.jobs.tiny import make_context

TWO = np.kron(np.eye(2), np.ones((7, 7)))[:13, :13] * 0.7 + 0.3


def found_in(folder, similarity_LL):
    (folder / "map").mkdir()
    write_map(folder / "map", LayerMap(similarity_LL))
    context = make_context(folder, map=folder / "map")
    metrics = blocks.run(BlocksSpec(), context)
    return metrics, read_layer_blocks(context.out)


def test_planted_blocks_are_found_with_what_speaks_for_them(tmp_path):
    metrics, found = found_in(tmp_path, TWO)
    assert (found.layers, found.starts) == (tuple(range(13)), (0, 7))
    assert metrics["num_blocks"] == 2 and metrics["num_layers"] == 13
    assert metrics["p_value"] <= 0.05 and metrics["excess"] > 0.1
    # Inside all is 1 and across 0.3, at every distance that has both.
    assert metrics["lag_contrast"] == pytest.approx(0.7)
    assert {name: getattr(found, name) for name in NUMBERS} == {name: metrics[name] for name in NUMBERS}


def test_a_layer_that_is_undefined_is_left_out_and_the_others_keep_their_numbers(tmp_path):
    similarity_LL = TWO.copy()
    similarity_LL[0] = similarity_LL[:, 0] = np.nan
    _, found = found_in(tmp_path, similarity_LL)
    assert (found.layers, found.starts) == (tuple(range(1, 13)), (1, 7))


def test_a_map_of_too_few_layers_has_a_reason_and_no_blocks(tmp_path):
    metrics, found = found_in(tmp_path, np.eye(3))
    assert metrics == {"num_layers": 3}
    assert found is None
    assert "3 layers are defined, and blocks need 4" in (tmp_path / "out" / BLOCKS).read_text()


def test_a_map_without_blocks_has_no_contrast_where_none_is_defined(tmp_path):
    metrics, found = found_in(tmp_path, np.ones((8, 8)))
    assert metrics["num_blocks"] == 1 and found.starts == (0,)
    assert all(np.isfinite(value) for value in metrics.values())
