"""The factors by which the variants of a study differ."""

from dataclasses import replace

from layerscope.jobs.report.conditions import varied_factors
from tests.jobs.report.studies import make_variant


def test_a_factor_that_only_follows_from_another_is_not_one_of_them(tmp_path):
    head = make_variant(tmp_path, truncation="head", head_tokens=None)
    both = make_variant(tmp_path, truncation="head+tail", head_tokens=17)
    named = [replace(one, condition=f"truncation={one.recipe['truncation']}") for one in (head, both)]
    assert varied_factors(named) == {"truncation": ("head", "head+tail")}


def test_numbers_ascend_and_words_keep_their_order(tmp_path):
    variants = [
        make_variant(tmp_path, truncation=truncation, layer_decay=decay)
        for truncation, decay in (("tail", 1.0), ("head", 0.5))
    ]
    assert varied_factors(variants) == {"truncation": ("tail", "head"), "layer_decay": ("0.5", "1.0")}
