"""The conditions that a claim compares: equal in every factor that the claim does not name."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from layerscope.jobs.report.conditions import conditions_by_task, factor_label
from layerscope.jobs.report.paper.paper_recipes import ENCODER, StudyReference
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.specs.references import Claim, Where, WhereAny


@dataclass(frozen=True)
class Candidate:
    """A condition that matches one side of a claim."""

    words: str
    """Its values of the factors that the claim names."""
    variants: tuple[VariantResult, ...]


@dataclass(frozen=True)
class Context:
    """One task and one value of every factor that a claim does not name."""

    task: str
    rest: Mapping[str, str]
    """Values of these factors."""
    candidates: tuple[tuple[Candidate, ...], ...]
    """For each side of the claim, the conditions that match it."""

    @property
    def is_complete(self) -> bool:
        """Whether every side has a candidate."""
        return all(self.candidates)


def contexts_of(
    study: Study, asked: Sequence[WhereAny], claim: Claim, *, apart_from: Sequence[str] = ()
) -> list[Context]:
    """Every context in which a condition with a finished run matches a side of the claim.

    Of a task's complete contexts, those with the paper's setting are preferred, if there are any.

    Args:
        asked: The sides of the claim.
        apart_from: Further factors that do not distinguish contexts.
    """
    reference = study.reference
    assert reference is not None
    named = {factor for where in asked for factor in where} | set(apart_from)
    found: list[Context] = []
    for task, conditions in conditions_by_task(study).items():
        paper_task = reference.paper_task_by_task.get(task)
        if paper_task is None or (claim.tasks and paper_task not in claim.tasks):
            continue
        groups: dict[tuple[tuple[str, str], ...], list[tuple[VariantResult, ...]]] = {}
        for variants in conditions.values():
            if any(variant.state == "done" for variant in variants):
                groups.setdefault(_rest(variants[0], named), []).append(variants)
        own = [
            Context(task, dict(rest), tuple(_candidates(reference, where, group) for where in asked))
            for rest, group in groups.items()
        ]
        complete = [context for context in own if context.is_complete]
        if complete:
            own = _like_the_paper(reference, complete, claim.otherwise)
        found += [context for context in own if any(context.candidates)]
    return found


def same_context(context: Context, rest: Mapping[str, str]) -> bool:
    """Whether the context has these values; a task without truncated texts matches any truncation."""
    return all(
        context.rest.get(factor, value) in (value, *(["whole"] if factor == "truncation" else []))
        for factor, value in rest.items()
    )


def _like_the_paper(reference: StudyReference, contexts: list[Context], otherwise: Where) -> list[Context]:
    """Factor by factor, the contexts with the paper's value, if there are any."""
    for factor, value in otherwise.items():
        alike = [
            context
            for context in contexts
            if factor in context.rest
            and reference.meets(context.candidates[0][0].variants[0].recipe, {factor: value})
        ]
        contexts = alike or contexts
    return contexts


def _candidates(
    reference: StudyReference, where: WhereAny, conditions: Sequence[tuple[VariantResult, ...]]
) -> tuple[Candidate, ...]:
    return tuple(
        Candidate(_words(reference, where, variants[0]), variants)
        for variants in conditions
        if reference.meets(variants[0].recipe, where)
    )


def _words(reference: StudyReference, where: WhereAny, variant: VariantResult) -> str:
    values = {
        factor: reference.encoder_of(variant.recipe) if factor == ENCODER else factor_label(variant, factor)
        for factor in where
    }
    return " ".join(f"{factor}={value}" for factor, value in values.items())


def _rest(variant: VariantResult, named: set[str]) -> tuple[tuple[str, str], ...]:
    """A factor that the condition does not name is determined by others."""
    varied = [part.partition("=")[0] for part in variant.condition.split()]
    return tuple(
        (factor, factor_label(variant, factor))
        for factor in variant.recipe
        if factor in varied and factor not in named
    )
