"""Every kind of claim on planted studies: held, not held, not decidable, and not run."""

from dataclasses import replace

import pytest

from layerscope.jobs.report.paper.claims import check_claims, claim_line
from layerscope.jobs.report.tidy_table import format_claims
from tests.jobs.report.papers import claim, reference, study, variants

TASKS = {"topic": "topic", "mood": "mood", "kind": "kind"}
HEAD, TAIL, BOTH = ({"truncation": value} for value in ("head", "tail", "head+tail"))
BETTER = claim("better", where=BOTH, than=[HEAD, TAIL])
PLAIN, OWN, JOINT = ({"pretraining": value} for value in ("none", "within-task", "joint"))


def checked(known, *groups):
    (found,) = check_claims(study(known, *groups))
    return found


def verdict(written, *groups, tasks=TASKS):
    return checked(reference(claims=[written], tasks=tasks), *groups).verdict


def truncations(root, *, both, head, tail, **changes):
    counts = {"head+tail": both, "head": head, "tail": tail}
    return [variants(root, num, truncation=name, **changes) for name, num in counts.items()]


@pytest.mark.parametrize(
    ("both", "head", "tail", "expected"),
    [
        (90, 60, 70, "held"),
        (60, 90, 50, "not held"),
        (90, 60, 88, "not decidable"),
        (80, 80, 80, "not decidable"),
    ],
)
def test_better_is_held_only_against_every_other(tmp_path, both, head, tail, expected):
    assert verdict(BETTER, *truncations(tmp_path, both=both, head=head, tail=tail)) == expected


def test_better_is_not_run_where_one_of_the_others_is_missing(tmp_path):
    found = checked(
        reference(claims=[BETTER]),
        variants(tmp_path, 90, truncation="head+tail"),
        variants(tmp_path, 50, truncation="head"),
    )
    assert found.verdict == "not run"
    assert claim_line(found) == "not run: topic: no finished run with truncation=tail"


def test_a_comparison_has_its_difference_in_points_of_test_error(tmp_path):
    found = checked(reference(claims=[BETTER]), *truncations(tmp_path, both=90, head=60, tail=70))
    against_head, against_tail = found.comparisons
    assert against_head.what == "truncation=head+tail against truncation=head"
    assert against_head.difference.mean == pytest.approx(-30)
    assert against_head.difference.low < -30 < against_head.difference.high < 0
    assert (against_head.num_examples, against_head.num_seeds) == (100, 2)
    # 30 and 20 examples all one way: p = 2 * 0.5**30 and 2 * 0.5**20; Holm doubles the smaller.
    assert against_head.p_value == pytest.approx(4 * 0.5**30)
    assert against_tail.p_value == pytest.approx(2 * 0.5**20)
    assert "held: topic: truncation=head+tail against truncation=head: −30.00 points [−" in claim_line(found)
    assert "p < 0.001, 100 examples x 2 seeds" in claim_line(found)


def test_holm_counts_all_comparisons_of_a_claim(tmp_path):
    """6 examples of 6 have p = 0.031: enough for one comparison, and not for the smallest of two."""
    one = claim("better", where=BOTH, than=[HEAD])
    groups = truncations(tmp_path, both=90, head=84, tail=84)
    assert verdict(one, *groups) == "held"
    assert verdict(BETTER, *groups) == "not decidable"


def test_only_conditions_that_are_equal_in_all_else_are_compared(tmp_path):
    groups = [
        variants(tmp_path, num, truncation=name, layer_decay=decay)
        for decay, counts in {0.9: (90, 60, 60), 1.0: (60, 90, 90)}.items()
        for name, num in zip(("head+tail", "head", "tail"), counts, strict=True)
    ]
    found = checked(reference(claims=[BETTER]), *groups)
    assert found.verdict == "not held"
    assert {comparison.place for comparison in found.comparisons} == {
        "topic, layer_decay=0.9",
        "topic, layer_decay=1.0",
    }
    assert checked(reference(claims=[BETTER]), *groups[:3]).verdict == "held"


def test_of_several_settings_those_of_the_paper_are_looked_at(tmp_path):
    groups = [
        variants(tmp_path, num, truncation=name, layer_decay=decay, epochs=epochs)
        for decay, epochs, counts in [(0.9, 2, (90, 60, 60)), (1.0, 2, (60, 90, 90)), (0.9, 3, (85, 60, 60))]
        for name, num in zip(("head+tail", "head", "tail"), counts, strict=True)
    ]
    like = reference(claims=[BETTER | {"otherwise": {"layer_decay": 0.9, "pooling": "cls"}}])
    found = checked(like, *groups)
    assert found.verdict == "held"
    assert {comparison.place for comparison in found.comparisons} == {
        "topic, layer_decay=0.9, epochs=2",
        "topic, layer_decay=0.9, epochs=3",
    }
    assert checked(like, *groups[2:6]).verdict == "not held", "the paper's setting lacks the head alone"


def test_a_claim_speaks_only_of_its_own_data_sets(tmp_path):
    groups = truncations(tmp_path, both=90, head=60, tail=60, task="mine")
    groups += truncations(tmp_path, both=60, head=90, tail=90, task="other")
    of_one = claim("better", where=BOTH, than=[HEAD, TAIL], tasks=["topic"])
    assert verdict(of_one, *groups, tasks={"mine": "topic", "other": "mood"}) == "held"
    assert verdict(BETTER, *groups, tasks={"mine": "topic", "other": "mood"}) == "not held"
    assert verdict(of_one, *groups, tasks={"other": "mood"}) == "not run"


def test_runs_that_are_not_finished_or_share_no_examples_are_not_run(tmp_path):
    groups = truncations(tmp_path, both=90, head=60, tail=60)
    running = [replace(variant, state="running") for variant in groups[0]]
    assert verdict(BETTER, running, *groups[1:]) == "not run"
    fewer = variants(tmp_path, 50, num_examples=60, truncation="head")
    found = checked(reference(claims=[BETTER]), groups[0], fewer, groups[2])
    assert claim_line(found) == "not run: no common seeds and test examples"


LAST = claim("no_worse", where={"layers": "last"}, than=[{"layers": {"at_least": 1}}], margin=3.0)


@pytest.mark.parametrize(
    ("last", "third", "expected"),
    [
        (900, 700, "held"),
        (900, 899, "held"),
        (700, 900, "not held"),
        (range(200, 1000), range(800), "not decidable"),
    ],
)
def test_no_worse_is_held_where_no_loss_reaches_the_margin(tmp_path, last, third, expected):
    """The last case: 200 examples each way are no difference, known to 3.9 points only."""
    groups = [
        variants(tmp_path, right, layers=layer, num_examples=1000)
        for layer, right in {1: 500, 3: third, "last": last}.items()
    ]
    assert verdict(LAST, *groups) == expected


def test_the_last_layer_is_not_compared_with_itself(tmp_path):
    groups = [variants(tmp_path, num, layers=layer) for layer, num in {1: 50, 4: 90}.items()]
    found = checked(reference(claims=[LAST], num_layers=4), *groups)
    assert [comparison.what for comparison in found.comparisons] == ["layers=4 against layers=1"]
    assert verdict(LAST, groups[1]) == "not run"


SOME = claim("some_better", where={"layer_decay": {"below": 1}}, than={"layer_decay": 1.0})


@pytest.mark.parametrize(
    ("by_rate", "expected"),
    [
        ({2e-5: (90, 60, 50), 3e-5: (60, 90, 50)}, "held"),
        ({2e-5: (90, 60, 50), 3e-5: (60, 51, 50)}, "held"),
        ({2e-5: (90, 60, 50), 3e-5: (30, 20, 50)}, "not held"),
        ({2e-5: (90, 60, 50), 3e-5: (20, 50, 50)}, "not decidable"),
        ({2e-5: (51, 51, 50)}, "not decidable"),
    ],
)
def test_some_better_needs_one_at_each_learning_rate(tmp_path, by_rate, expected):
    groups = [
        variants(tmp_path, num, learning_rate=rate, layer_decay=decay)
        for rate, counts in by_rate.items()
        for decay, num in zip((0.9, 0.95, 1.0), counts, strict=True)
    ]
    assert verdict(SOME, *groups) == expected


def test_some_better_is_not_run_without_the_other(tmp_path):
    groups = [variants(tmp_path, 50, layer_decay=decay) for decay in (0.9, 0.95)]
    found = checked(reference(claims=[SOME]), *groups)
    assert claim_line(found) == "not run: topic: no finished run with layer_decay=1"


AVERAGE = claim("on_average", where=OWN, than=PLAIN)


def pretrainings(root, counts_by_task, *, names=("within-task", "none"), **changes):
    return [
        variants(root, num, task=task, pretraining=name, **changes)
        for task, counts in counts_by_task.items()
        for name, num in zip(names, counts, strict=True)
    ]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"topic": (90, 60), "mood": (70, 75)}, "held"),
        ({"topic": (60, 90), "mood": (75, 70)}, "not held"),
        ({"topic": (75, 72), "mood": (70, 73)}, "not decidable"),
        ({"topic": (90, 60)}, "not run"),
    ],
)
def test_on_average_lets_one_task_outweigh_another(tmp_path, counts, expected):
    assert verdict(AVERAGE, *pretrainings(tmp_path, counts)) == expected


def test_an_average_is_over_the_tasks_that_have_both_and_every_task_counts_alike(tmp_path):
    groups = pretrainings(tmp_path, {"topic": (90, 60), "kind": (90, 70)})
    groups += [variants(tmp_path, 50, task="mood", pretraining="none")]
    found = checked(reference(claims=[AVERAGE], tasks=TASKS), *groups)
    (comparison,) = found.comparisons
    assert comparison.place == "average of topic, kind"
    assert comparison.difference.mean == pytest.approx(-25)
    assert comparison.num_examples == 200
    assert found.words == "not run: mood: no finished run with pretraining=within-task"


def test_a_task_whose_texts_are_never_cut_is_averaged_with_every_truncation(tmp_path):
    groups = [
        variants(tmp_path, num, task=task, truncation=truncation, pretraining=name)
        for task, truncation in [("topic", "head"), ("topic", "tail"), ("mood", "whole")]
        for name, num in (("within-task", 90), ("none", 60))
    ]
    found = checked(reference(claims=[AVERAGE], tasks=TASKS), *groups)
    assert [comparison.place for comparison in found.comparisons] == [
        "average of topic, mood, truncation=head",
        "average of topic, mood, truncation=tail",
    ]


LESS = claim("gains_less", where=JOINT, than=OWN, over=PLAIN)


@pytest.mark.parametrize(
    ("joint", "own", "expected"),
    [(65, 90, "held"), (90, 65, "not held"), (75, 76, "not decidable")],
)
def test_one_gain_is_less_than_another(tmp_path, joint, own, expected):
    names = ("joint", "within-task", "none")
    groups = pretrainings(tmp_path, {"topic": (joint, own, 60), "mood": (joint, own, 50)}, names=names)
    found = checked(reference(claims=[LESS], tasks=TASKS), *groups)
    assert found.verdict == expected
    (comparison,) = found.comparisons
    assert comparison.difference.mean == pytest.approx(joint - own)
    assert f"gain of pretraining=joint over pretraining=none (+{joint - 55:.2f})" in comparison.what
    assert f"against that of pretraining=within-task (+{own - 55:.2f})" in comparison.what


def test_a_gain_without_what_it_is_over_is_not_run(tmp_path):
    groups = pretrainings(tmp_path, {"topic": (60, 90), "mood": (60, 90)}, names=("joint", "within-task"))
    found = checked(reference(claims=[LESS], tasks=TASKS), *groups)
    assert found.verdict == "not run"
    assert "topic, mood: no finished run with pretraining=none" in found.words


GROWS = claim("gain_grows", where=OWN, over=PLAIN, as_falls="train_size")


def sizes(root, counts_by_size, **changes):
    return [
        variants(root, num, train_size=size, pretraining=name, **changes)
        for size, counts in counts_by_size.items()
        for name, num in zip(("within-task", "none"), counts, strict=True)
    ]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({0.01: (85, 40), 0.5: (90, 60), None: (92, 90)}, "held"),
        ({0.01: (62, 60), None: (92, 60)}, "not held"),
        ({0.01: (70, 65), None: (92, 90)}, "not decidable"),
        ({0.01: (85, 40)}, "not run"),
    ],
)
def test_a_gain_grows_between_the_ends_of_a_factor(tmp_path, counts, expected):
    assert verdict(GROWS, *sizes(tmp_path, counts)) == expected


def test_a_growing_gain_tells_both_gains(tmp_path):
    found = checked(reference(claims=[GROWS]), *sizes(tmp_path, {100: (85, 40), 1000: (92, 90)}))
    (comparison,) = found.comparisons
    assert comparison.what == (
        "gain of pretraining=within-task over pretraining=none: "
        "+2.00 at train_size=1000 minus +45.00 at train_size=100"
    )
    assert comparison.difference.mean == pytest.approx(-43)


FAILS = claim("diverges", where={"learning_rate": {"at_least": 4e-4}})


@pytest.mark.parametrize(
    ("metrics", "expected", "words"),
    [
        ([{"diverged": 1.0}, {"learned": 0.0}], "held", "topic: 2 of 2 runs with"),
        ([{"diverged": 0.0}, {"learned": 1.0}], "not held", "topic: 0 of 2 runs with"),
        ([{"diverged": 1.0}, {}], "not decidable", "topic: 1 of 2 runs with"),
    ],
)
def test_divergence_is_counted(tmp_path, metrics, expected, words):
    groups = [
        variants(tmp_path, 50, seeds=[seed], learning_rate=5e-4, metrics=of)
        for seed, of in enumerate(metrics)
    ]
    fine = variants(tmp_path, 90, learning_rate=2e-5)
    found = checked(reference(claims=[FAILS]), fine, *groups)
    assert found.verdict == expected
    assert found.words.startswith(f"{words} learning_rate at least 0.0004")
    assert checked(reference(claims=[FAILS]), fine).verdict == "not run"


def test_a_claim_about_another_encoder_is_not_run(tmp_path):
    large = claim("better", where={"encoder": "big"}, than=[{"encoder": "tiny"}])
    found = checked(reference(claims=[large]), variants(tmp_path, 50, decay=1.0))
    assert claim_line(found) == "not run: topic: no finished run with encoder=big"


def test_without_a_paper_there_are_no_claims(tmp_path):
    assert check_claims(study(None, variants(tmp_path, 50, decay=1.0))) == []


def test_claims_in_markdown_have_verdict_and_numbers(tmp_path):
    found = check_claims(study(reference(claims=[BETTER]), *truncations(tmp_path, both=90, head=60, tail=70)))
    header, rule, line = format_claims(found).splitlines()
    assert (header, rule) == ("| claim | verdict | evidence |", "| --- | --- | --- |")
    assert line.startswith("| a: It is so. (table 1) | held | topic: truncation=head+tail against")
