"""A paper's claims tested on a study's own runs: held, not held, or not decidable with this many examples.

Differences are in percentage points of test error, negative if they agree with the claim.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, assert_never

import numpy as np

from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.kernels.statistics.intervals import Interval
from layerscope.jobs.kernels.statistics.paired_tests import average_interval, difference_interval, holm
from layerscope.jobs.report.number_formats import points
from layerscope.jobs.report.pairing import CorrectBySeed, correct_by_seed, matched, sign_test
from layerscope.jobs.report.paper.claim_contexts import Candidate, Context, contexts_of, same_context
from layerscope.jobs.report.paper.paper_recipes import in_words
from layerscope.jobs.report.ranking import SIGNIFICANCE
from layerscope.jobs.report.study import Study, training_end
from layerscope.jobs.specs.references import (
    Better,
    Claim,
    Diverges,
    GainGrows,
    GainsLess,
    NoWorse,
    OnAverage,
    SomeBetter,
    WhereAny,
)

Verdict = Literal["held", "not held", "not decidable", "not run"]


@dataclass(frozen=True)
class Comparison:
    """One difference that a verdict is based on."""

    what: str
    place: str
    """The task or tasks, and the other factors that the compared conditions share."""
    difference: Interval
    """Percentage points of test error with a 95 % bootstrap interval over test examples."""
    p_value: float
    """Two-sided, adjusted by Holm within the claim."""
    num_examples: int
    num_seeds: int


@dataclass(frozen=True)
class CheckedClaim:
    """A claim and its verdict."""

    claim: Claim
    verdict: Verdict
    comparisons: tuple[Comparison, ...] = ()
    words: str = ""
    """Counts if nothing is compared, and what was not run."""


def check_claims(study: Study) -> list[CheckedClaim]:
    """The claims of the study's paper in its order; none without a paper.

    A claim that one recipe is better is held if every comparison has a Holm-adjusted p below 0.05 and an
    interval on the claimed side of zero, and not held if any comparison is significant on the other side.
    The tests generalise to other test examples, not to other seeds.
    """
    if study.reference is None:
        return []
    checker = _Checker(study)
    return [checker.check(claim) for claim in study.reference.paper.claims]


def claim_line(checked: CheckedClaim) -> str:
    """Verdict and numbers in one line."""
    told = [comparison_line(comparison) for comparison in checked.comparisons]
    told += [checked.words] if checked.words else []
    return f"{checked.verdict}: {'; '.join(told)}"


def comparison_line(comparison: Comparison) -> str:
    """The difference in words."""
    of = comparison.difference
    p_value = "p < 0.001" if comparison.p_value < 0.001 else f"p = {comparison.p_value:.3f}"
    told = f"{points(of.mean)} points [{points(of.low)}, {points(of.high)}], {p_value}"
    size = f"{comparison.num_examples} examples x {comparison.num_seeds} seeds"
    return f"{comparison.place}: {comparison.what}: {told}, {size}"


@dataclass
class _Found:
    """Comparisons with unadjusted p-values, grouped by context."""

    groups: list[list[Comparison]]
    missing: str


class _Checker:
    """Checks claims on one study; predictions are read once."""

    def __init__(self, study: Study) -> None:
        self._study = study
        self._read: dict[tuple[str, str], CorrectBySeed] = {}

    def check(self, claim: Claim) -> CheckedClaim:
        match claim.check:
            case Better(where=where, than=than):
                return _judged(claim, self._pairs(claim, [where, *than]), _all(_outcome))
            case NoWorse(where=where, than=than, margin=margin):
                return _judged(claim, self._pairs(claim, [where, *than]), _all(_outcome_within(margin)))
            case SomeBetter(where=where, than=than):
                return _judged(claim, self._pairs(claim, [where, than]), _some)
            case OnAverage(where=where, than=than):
                return _judged(claim, self._averages(claim, [where, than]), _all(_outcome))
            case GainsLess(where=where, than=than, over=over):
                return _judged(claim, self._averages(claim, [where, than, over]), _all(_outcome))
            case GainGrows():
                return _judged(claim, self._gains(claim, claim.check), _all(_outcome))
            case Diverges(where=where):
                return self._divergence(claim, where)
            case never:
                assert_never(never)

    def _pairs(self, claim: Claim, asked: Sequence[WhereAny]) -> _Found:
        """The first of the requested conditions against each of the others, one group per context."""
        contexts = contexts_of(self._study, asked, claim)
        groups = []
        for context in filter(lambda each: each.is_complete, contexts):
            first, *others = context.candidates
            pairs = [(one, other) for one in first for of in others for other in of if one != other]
            compared = [self._compared(context, one, other) for one, other in pairs]
            found = [comparison for comparison in compared if comparison is not None]
            if found and len(found) == len(pairs):
                groups.append(found)
        return _Found(groups, self._missing(contexts, asked, claim))

    def _compared(self, context: Context, one: Candidate, other: Candidate) -> Comparison | None:
        pair = matched(self._correct(one), self._correct(other))
        if pair is None:
            return None
        # Lower accuracy is higher error, so the other's accuracy comes first.
        difference = difference_interval(pair[1], pair[0], seed=0)
        return Comparison(
            what=f"{one.words} against {other.words}",
            place=_place([context.task], context.rest),
            difference=_in_points(difference),
            p_value=sign_test(*pair),
            num_examples=pair[0].shape[1],
            num_seeds=pair[0].shape[0],
        )

    def _averages(self, claim: Claim, asked: Sequence[WhereAny]) -> _Found:
        """The first against the second, averaged over tasks; with a third, their gains over it."""
        contexts = contexts_of(self._study, asked, claim)
        complete = [context for context in contexts if context.is_complete]
        concrete = [context.rest for context in complete if context.rest.get("truncation") != "whole"]
        rests = {tuple(rest.items()): rest for rest in concrete or [context.rest for context in complete]}
        groups = []
        for rest in rests.values():
            by_words: dict[tuple[str, ...], dict[str, tuple[np.ndarray, ...]]] = {}
            for context in (each for each in complete if same_context(each, rest)):
                for chosen in product(*context.candidates):
                    correct = matched(*(self._correct(one) for one in chosen))
                    if correct is not None:
                        words = tuple(one.words for one in chosen)
                        by_words.setdefault(words, {})[context.task] = correct
            several = {words: by_task for words, by_task in by_words.items() if len(by_task) > 1}
            groups += [[_averaged(words, by_task, rest)] for words, by_task in several.items()]
        missing = self._missing(contexts, asked, claim)
        if complete and not groups:
            missing = "an average needs at least two tasks"
        return _Found(groups, missing)

    def _gains(self, claim: Claim, check: GainGrows) -> _Found:
        """The gain at the highest value of the factor minus that at the lowest, in each context."""
        asked = [check.where, check.over]
        contexts = contexts_of(self._study, asked, claim, apart_from=[check.as_falls])
        groups, missing = [], self._missing(contexts, asked, claim)
        for context in filter(lambda each: each.is_complete, contexts):
            by_size = [
                {_size(one, check.as_falls): one for one in candidates} for candidates in context.candidates
            ]
            sizes = sorted(set(by_size[0]) & set(by_size[1]))
            if len(sizes) < 2:
                missing = f"only one value of {check.as_falls}: a growing gain needs two"
                continue
            chosen = [of[size] for size in (sizes[-1], sizes[0]) for of in by_size]
            correct = matched(*map(self._correct, chosen))
            if correct is not None:
                groups.append([_grown(context, check, chosen, correct)])
        return _Found(groups, missing)

    def _divergence(self, claim: Claim, where: WhereAny) -> CheckedClaim:
        contexts = contexts_of(self._study, [where], claim)
        done = [
            variant
            for context in contexts
            for candidate in context.candidates[0]
            for variant in candidate.variants
            if variant.state == "done" and "finetune" in variant.folders
        ]
        if not done:
            return CheckedClaim(claim, "not run", words=self._missing(contexts, [where], claim))
        ends = [training_end(read_metrics(variant.folders["finetune"])) for variant in done]
        failed = len(ends) - ends.count("learned")
        verdict: Verdict = "held" if failed == len(done) else "not decidable" if failed else "not held"
        tasks = ", ".join(dict.fromkeys(variant.task for variant in done))
        words = f"{tasks}: {failed} of {len(done)} runs with {in_words(where)} diverged or did not learn"
        return CheckedClaim(claim, verdict, words=words)

    def _correct(self, candidate: Candidate) -> CorrectBySeed:
        first = candidate.variants[0]
        place = first.task, first.condition
        if place not in self._read:
            self._read[place] = correct_by_seed(candidate.variants)
        return self._read[place]

    def _missing(self, contexts: Sequence[Context], asked: Sequence[WhereAny], claim: Claim) -> str:
        """What has no finished run, by task."""
        reference = self._study.reference
        assert reference is not None
        tasks = [
            task
            for task, name in reference.paper_task_by_task.items()
            if not claim.tasks or name in claim.tasks
        ]
        if not tasks:
            return f"no task is one of {', '.join(claim.tasks) or reference.paper.paper}"
        tasks_by_lack: dict[str, list[str]] = {}
        for task in tasks:
            own = [context for context in contexts if context.task == task]
            without = [
                in_words(where)
                for index, where in enumerate(asked)
                if not any(context.candidates[index] for context in own)
            ]
            if without:
                lack = f"no finished run with {' or with '.join(without)}"
                tasks_by_lack.setdefault(lack, []).append(task)
            elif not any(context.is_complete for context in own):
                tasks_by_lack.setdefault("no finished runs that are otherwise equal", []).append(task)
        return "; ".join(f"{', '.join(of)}: {lack}" for lack, of in tasks_by_lack.items())


_Outcome = Literal["as claimed", "opposite", "open"]
_Rule = Callable[[list[list[Comparison]]], Verdict]


def _judged(claim: Claim, found: _Found, rule: _Rule) -> CheckedClaim:
    if not found.groups:
        words = found.missing or "no common seeds and test examples"
        return CheckedClaim(claim, "not run", words=words)
    flat = [comparison for group in found.groups for comparison in group]
    adjusted: Iterator[float] = iter(holm([comparison.p_value for comparison in flat]).tolist())
    groups = [[replace(one, p_value=next(adjusted)) for one in group] for group in found.groups]
    words = f"not run: {found.missing}" if found.missing else ""
    return CheckedClaim(claim, rule(groups), tuple(one for group in groups for one in group), words)


def _all(outcome: Callable[[Comparison], _Outcome]) -> _Rule:
    """Held if every comparison is as claimed, not held if any is the opposite."""

    def rule(groups: list[list[Comparison]]) -> Verdict:
        outcomes = {outcome(comparison) for group in groups for comparison in group}
        if "opposite" in outcomes:
            return "not held"
        return "held" if outcomes == {"as claimed"} else "not decidable"

    return rule


def _some(groups: list[list[Comparison]]) -> Verdict:
    """Held if each group has a comparison as claimed, not held if all of any group are the opposite."""
    outcomes = [{_outcome(comparison) for comparison in group} for group in groups]
    if any(of == {"opposite"} for of in outcomes):
        return "not held"
    return "held" if all("as claimed" in of for of in outcomes) else "not decidable"


def _outcome(comparison: Comparison) -> _Outcome:
    if comparison.p_value >= SIGNIFICANCE:
        return "open"
    if comparison.difference.high < 0:
        return "as claimed"
    return "opposite" if comparison.difference.low > 0 else "open"


def _outcome_within(margin: float) -> Callable[[Comparison], _Outcome]:
    """An interval entirely below the margin is as claimed, whatever the p-value."""
    return lambda one: "as claimed" if one.difference.high < margin else _outcome(one)


def _averaged(
    words: tuple[str, ...], by_task: Mapping[str, tuple[np.ndarray, ...]], rest: Mapping[str, str]
) -> Comparison:
    differences = [correct[1].mean(axis=0) - correct[0].mean(axis=0) for correct in by_task.values()]
    interval, p_value = average_interval(differences, seed=0)
    what = f"{words[0]} against {words[1]}"
    if len(words) == 3:
        # The difference of two gains over a third is the difference of the two: the third cancels out.
        gains = [
            points(100 * np.mean([(of[index].mean() - of[2].mean()) for of in by_task.values()]))
            for index in (0, 1)
        ]
        what = f"gain of {words[0]} over {words[2]} ({gains[0]}) against that of {words[1]} ({gains[1]})"
        interval = Interval(-interval.mean, -interval.high, -interval.low)
    return Comparison(
        what=what,
        place=_place(list(by_task), rest),
        difference=_in_points(interval),
        p_value=p_value,
        num_examples=sum(len(values) for values in differences),
        num_seeds=min(correct[0].shape[0] for correct in by_task.values()),
    )


def _grown(
    context: Context, check: GainGrows, chosen: Sequence[Candidate], correct: tuple[np.ndarray, ...]
) -> Comparison:
    means = [values_SN.mean(axis=0) for values_SN in correct]
    high_N, low_N = means[0] - means[1], means[2] - means[3]
    interval, p_value = average_interval([high_N - low_N], seed=0)
    values = [_value(one, check.as_falls) for one in (chosen[0], chosen[2])]
    gains = [
        f"{points(100 * gain_N.mean())} at {check.as_falls}={value}"
        for gain_N, value in zip((high_N, low_N), values, strict=True)
    ]
    return Comparison(
        what=f"gain of {chosen[0].words} over {chosen[1].words}: {gains[0]} minus {gains[1]}",
        place=_place([context.task], context.rest),
        difference=_in_points(interval),
        p_value=p_value,
        num_examples=correct[0].shape[1],
        num_seeds=correct[0].shape[0],
    )


def _value(candidate: Candidate, factor: str) -> object:
    value = candidate.variants[0].recipe.get(factor)
    return "none" if value is None else value


def _size(candidate: Candidate, factor: str) -> float:
    """Sort key of the values; a study has sizes as shares or as counts, not both."""
    value = candidate.variants[0].recipe.get(factor)
    return float(value) if isinstance(value, int | float) else math.inf


def _place(tasks: Sequence[str], rest: Mapping[str, str]) -> str:
    where = tasks[0] if len(tasks) == 1 else f"average of {', '.join(tasks)}"
    return ", ".join([where, *(f"{factor}={value}" for factor, value in rest.items())])


def _in_points(interval: Interval) -> Interval:
    return Interval(100 * interval.mean, 100 * interval.low, 100 * interval.high)
