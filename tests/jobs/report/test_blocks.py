"""Blocks in the report: framed where seeds agree, and told in a table with every start once."""

import math
from dataclasses import replace

import numpy as np
import pytest

from layerscope.jobs.artifacts.layer_blocks import LayerBlocks, write_layer_blocks, write_no_blocks
from layerscope.jobs.measures.similarity.blocks_table import agreed_blocks, block_rows
from layerscope.jobs.study_report import render_report, study_figures, variant_figures
from tests.jobs.report.studies import make_study, make_variant, write_curves, write_map, write_record
from tests.jobs.report.test_document import words


def with_blocks(variant, role="blocks", *, starts=(0, 4), num_layers=7, p_value=0.005):
    variant = write_curves(variant, role, {})
    blocks = LayerBlocks(tuple(range(num_layers)), tuple(starts), 0.7, 0.1, math.nan, p_value)
    write_layer_blocks(variant.folders[role], blocks)
    return variant


def measured(root, *, seed=0, starts=(0, 4), **recipe):
    variant = write_record(make_variant(root, seed=seed, **recipe), test__accuracy=0.5)
    return with_blocks(write_map(variant, "cka/within", np.eye(7)), starts=starts)


def test_blocks_that_most_seeds_have_are_framed(tmp_path):
    variants = [
        measured(tmp_path, seed=seed, starts=starts) for seed, starts in enumerate([(0, 4), (0, 4), (0,)])
    ]
    assert agreed_blocks(variants, "blocks") == ((0, 3), (4, 6))
    frames = study_figures(make_study(*variants))["maps/topic/cka_within"].axes[0].patches
    assert [frame.get_bbox().bounds for frame in frames] == [(-0.5, -0.5, 4, 4), (3.5, 3.5, 3, 3)]


def test_blocks_of_half_the_seeds_are_not_framed(tmp_path):
    variants = [measured(tmp_path, seed=seed, starts=starts) for seed, starts in enumerate([(0, 4), (0,)])]
    assert agreed_blocks(variants, "blocks") == ()
    assert not study_figures(make_study(*variants))["maps/topic/cka_within"].axes[0].patches


def test_a_variants_own_map_has_its_frames(tmp_path):
    assert len(variant_figures(measured(tmp_path))["cka/within"].axes[0].patches) == 2


def test_a_start_that_variants_share_is_one_row_and_one_panel(tmp_path):
    first = with_blocks(measured(tmp_path, decay=0.9), "blocks/start", starts=(0,), p_value=0.6)
    first = write_map(first, "cka/within/start", np.eye(7))
    shared = {role: first.folders[role] for role in ("blocks/start", "cka/within/start")}
    second = measured(tmp_path, decay=1.0)
    second = replace(second, folders={**second.folders, **shared})
    study = make_study(first, second)
    assert [(row.condition, row.num_blocks, row.ranges) for row in block_rows(study)] == [
        ("base model", "1", "0–6"),
        ("decay=0.9", "2", "0–3, 4–6"),
        ("decay=1.0", "2", "0–3, 4–6"),
    ]
    panels = study_figures(study)["maps/topic/cka_within_start"].axes
    assert [len(axes.images) for axes in panels] == [1, 0]
    page = words(render_report(study))
    assert "topic base model 1 0–6 0.700 0.100 – 0.600 1" in page
    assert "topic decay=1.0 2 0–3, 4–6 0.700 0.100 – 0.005 1" in page


def test_seeds_that_differ_are_told_apart(tmp_path):
    variants = [
        measured(tmp_path, seed=0),
        with_blocks(measured(tmp_path, seed=1), starts=(0, 3), p_value=0.04),
    ]
    (row,) = block_rows(make_study(*variants))
    assert (row.num_blocks, row.p_value) == ("2, 2", "0.005 to 0.040")
    assert row.ranges == "0–3, 4–6 (1 of 2 seeds); 0–2, 3–6 (1 of 2 seeds)"


@pytest.mark.parametrize("state", ["running", "failed"])
def test_a_variant_that_is_not_done_has_no_row(tmp_path, state):
    assert block_rows(make_study(replace(measured(tmp_path), state=state))) == []


def test_a_map_of_too_few_layers_has_no_row(tmp_path):
    variant = write_curves(make_variant(tmp_path), "blocks", {})
    write_no_blocks(variant.folders["blocks"], [0, 1], reason="too few")
    assert block_rows(make_study(variant)) == []
