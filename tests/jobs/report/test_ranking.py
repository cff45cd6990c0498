"""Tests of the ranking: its order, its honesty about seeds, and which differences it calls real."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from layerscope.jobs.report.effects import main_effects
from layerscope.jobs.report.pairing import correct_by_seed
from layerscope.jobs.report.ranking import rank_conditions
from tests.jobs.report.studies import make_study, make_variant, write_predictions, write_record


def condition(root, decay, correct_by_seed, **metrics):
    """Variants of one condition whose accuracy is that of their predictions."""
    return [
        write_predictions(
            write_record(
                make_variant(root, seed=seed, decay=decay),
                **{"test__accuracy": float(np.mean(correct)), "train__seconds": 10.0 * seed, **metrics},
            ),
            correct,
        )
        for seed, correct in enumerate(correct_by_seed)
    ]


def test_a_planted_difference_is_found_and_a_control_is_not(tmp_path):
    good = [1] * 90 + [0] * 10
    alike = [1] * 88 + [0] * 12
    bad = [1] * 50 + [0] * 50
    study = make_study(
        *condition(tmp_path, 0.8, [bad, bad]),
        *condition(tmp_path, 0.9, [good, good]),
        *condition(tmp_path, 1.0, [alike, alike]),
    )
    ranked = rank_conditions(study)

    assert [r.condition for r in ranked] == ["decay=0.9", "decay=1.0", "decay=0.8"]
    assert [r.standing for r in ranked] == ["highest", "indistinguishable", "worse"]
    assert ranked[2].difference.mean == pytest.approx(0.4)
    # 40 discordant examples, all one way: p = 2 * 0.5**40, times 2 after Holm; the control: 2 of 2, p = 0.5.
    assert ranked[2].p_value == pytest.approx(4 * 0.5**40)
    assert ranked[1].p_value == pytest.approx(0.5)


def test_the_highest_is_best_where_all_others_are_worse(tmp_path):
    good, bad = [1] * 90 + [0] * 10, [1] * 50 + [0] * 50
    study = make_study(*condition(tmp_path, 0.9, [good]), *condition(tmp_path, 1.0, [bad]))
    assert [r.standing for r in rank_conditions(study)] == ["best", "worse"]


def test_means_and_intervals_are_over_seeds(tmp_path):
    variants = condition(tmp_path, 0.9, [[1] * 8 + [0] * 2, [1] * 9 + [0]], validation__accuracy=0.7)
    (ranked,) = rank_conditions(make_study(replace(variants[0], num_cells=3), variants[1]))
    assert (ranked.test.mean, ranked.validation, ranked.seconds) == pytest.approx((0.85, 0.7, 5.0))
    # On the logit scale t(0.975, 1) * s / sqrt(2) = 12.7062 * 0.05 / (0.85 * 0.15) to either side.
    low, mean, high = (math.log(x / (1 - x)) for x in (ranked.test.low, ranked.test.mean, ranked.test.high))
    assert (mean - low, high - mean) == pytest.approx((12.7062 * 0.05 / (0.85 * 0.15),) * 2, rel=1e-4)
    assert (ranked.num_seeds, ranked.num_variants, ranked.num_cells) == (2, 2, 3)


def test_one_seed_has_no_interval(tmp_path):
    (ranked,) = rank_conditions(make_study(*condition(tmp_path, 0.9, [[1, 0]])))
    assert ranked.test.mean == 0.5
    assert math.isnan(ranked.test.low)
    assert ranked.standing == "highest"


def test_a_diverged_seed_puts_its_condition_behind_complete_ones(tmp_path):
    lucky = condition(tmp_path, 0.9, [[1] * 10, [1] * 10])
    write_record(lucky[1], test__accuracy=math.nan, diverged=1.0)
    study = make_study(*lucky, *condition(tmp_path, 1.0, [[1] * 6 + [0] * 4] * 2))
    first, second = rank_conditions(study)
    assert (first.condition, second.standing, second.num_diverged) == ("decay=1.0", "diverged", 1)


def test_a_diverged_run_is_no_winner_by_the_weights_it_went_back_to(tmp_path):
    study = make_study(
        *condition(tmp_path, 0.9, [[1] * 10] * 2, diverged=1.0, learned=0.0),
        *condition(tmp_path, 1.0, [[1] * 6 + [0] * 4] * 2, diverged=0.0, learned=1.0),
    )
    first, second = rank_conditions(study)
    assert (first.condition, first.standing) == ("decay=1.0", "highest")
    assert (second.standing, second.num_diverged, second.num_not_learning) == ("diverged", 2, 0)
    assert second.num_without_score == 0


def test_a_condition_that_did_not_learn_with_any_seed_stands_behind(tmp_path):
    dull = condition(tmp_path, 0.9, [[1] * 9 + [0]] * 2, learned=0.0)
    fair = condition(tmp_path, 1.0, [[1] * 6 + [0] * 4] * 2, learned=1.0)
    first, second = rank_conditions(make_study(*dull, *fair))
    assert (first.condition, second.standing, second.num_not_learning) == ("decay=1.0", "did not learn", 2)
    assert second.p_value is None
    write_record(dull[0], test__accuracy=0.9, learned=1.0)
    first, second = rank_conditions(make_study(*dull, *fair))
    assert (first.condition, first.standing, first.num_not_learning) == ("decay=0.9", "highest", 1)


def test_conditions_without_a_score_come_last_with_what_happened(tmp_path):
    failed = replace(make_variant(tmp_path, decay=0.8), state="failed", reason="out of memory", folders={})
    stopped = replace(make_variant(tmp_path, seed=1, decay=0.8), state="stopped", folders={})
    *_, last = rank_conditions(make_study(failed, stopped, *condition(tmp_path, 0.9, [[1, 0]])))
    assert (last.standing, last.num_failed, last.num_stopped, last.scores) == ("no result", 1, 1, ())


def test_different_test_examples_are_not_compared(tmp_path):
    study = make_study(*condition(tmp_path, 0.9, [[1] * 10]), *condition(tmp_path, 1.0, [[0] * 9]))
    assert [r.standing for r in rank_conditions(study)] == ["highest", "not compared"]


def test_main_effects_are_differences_of_matched_pairs(tmp_path):
    scores = {(0.9, "head"): 0.80, (0.9, "tail"): 0.60, (1.0, "head"): 0.84, (1.0, "tail"): 0.66}
    variants = [
        write_record(make_variant(tmp_path, decay=decay, truncation=truncation), test__accuracy=score)
        for (decay, truncation), score in scores.items()
    ]
    first, second = [effect for effect in main_effects(make_study(*variants)) if effect.factor == "decay"]
    assert (first.value, first.mean, first.difference) == ("0.9", pytest.approx(0.70), None)
    assert (second.value, second.reference, second.num_pairs) == ("1.0", "0.9", 2)
    assert second.difference.mean == pytest.approx(0.05)


def test_a_factor_without_matched_pairs_has_no_difference(tmp_path):
    variants = [
        write_record(make_variant(tmp_path, seed=seed, decay=decay), test__accuracy=0.5)
        for seed, decay in enumerate([0.9, 1.0])
    ]
    assert [effect.difference for effect in main_effects(make_study(*variants))] == [None, None]


def test_any_right_choice_counts_as_right(tmp_path):
    variant = write_record(make_variant(tmp_path), test__accuracy=0.5)
    table = {"ids": ["a", "b", "c"], "labels": [[0, 2], [1], [0, 1]], "predictions": [2, 0, 1]}
    (variant.folders["finetune"] / "test_predictions.json").write_text(json.dumps(table))
    assert correct_by_seed([variant])[variant.seed][1].tolist() == [1, 0, 1]


def predicting(root, decay, *, noise, seed=0, num_examples=200):
    """A variant whose predicted numbers are the true ones and noise."""
    random = np.random.default_rng([seed, int(10 * decay)])
    numbers_N = np.random.default_rng(0).uniform(0, 5, size=num_examples)
    predictions_N = numbers_N + noise * random.normal(size=num_examples)
    score = float(np.corrcoef(numbers_N, predictions_N)[0, 1])
    variant = write_record(make_variant(root, seed=seed, decay=decay), test__pearson=score)
    ids = [f"row {row}" for row in range(num_examples)]
    table = {"ids": ids, "labels": numbers_N.tolist(), "predictions": predictions_N.tolist()}
    (variant.folders["finetune"] / "test_predictions.json").write_text(json.dumps(table))
    return variant


def test_predicted_numbers_are_compared_by_their_correlation_over_the_same_examples(tmp_path):
    variants = [
        predicting(tmp_path, decay, noise=noise, seed=seed)
        for decay, noise in ((0.8, 0.5), (0.9, 0.5), (1.0, 3.0))
        for seed in (0, 1)
    ]
    study = make_study(*variants, metric_by_task={"topic": "pearson"})
    ranked = rank_conditions(study)
    assert {one.condition for one in ranked[:2]} == {"decay=0.8", "decay=0.9"}
    assert [one.standing for one in ranked] == ["highest", "indistinguishable", "worse"]
    assert ranked[2].difference.mean == pytest.approx(ranked[0].test.mean - ranked[2].test.mean)
    assert ranked[2].difference.low > 0.2
    # No resample of 2000 lies on the far side; Holm doubles the smaller of two.
    assert ranked[2].p_value == pytest.approx(2 * 2 / 2001)


def test_predicted_numbers_of_other_examples_are_not_compared(tmp_path):
    variants = [
        predicting(tmp_path, 0.9, noise=0.5),
        predicting(tmp_path, 1.0, noise=3.0, num_examples=199),
    ]
    ranked = rank_conditions(make_study(*variants, metric_by_task={"topic": "pearson"}))
    assert [one.standing for one in ranked] == ["highest", "not compared"]


def test_two_examples_have_no_correlation_to_compare(tmp_path):
    variants = [predicting(tmp_path, decay, noise=0.5, num_examples=2) for decay in (0.9, 1.0)]
    ranked = rank_conditions(make_study(*variants, metric_by_task={"topic": "pearson"}))
    assert [one.standing for one in ranked] == ["highest", "not compared"]
