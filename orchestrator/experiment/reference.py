"""The paper beside which an experiment is shown: checked, and cut down to what is used."""

from collections import Counter
from collections.abc import Iterable, Iterator

from layerscope.jobs.specs.faults import Fault, PathTo
from layerscope.jobs.specs.references import Paper
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.faults import suggestion


def reference_faults(experiment: Experiment) -> Iterator[Fault]:
    """What a reference names and nobody has, and what its paper's parts do not agree in."""
    reference = experiment.reference
    if reference is None:
        return
    paper = reference.paper
    yield from _of_paper(paper, ("reference", "paper"))
    yield from _unknown("tables", reference.tables, [table.table for table in paper.tables], paper.paper)
    yield from _unknown("claims", reference.claims, [claim.claim for claim in paper.claims], paper.paper)
    ours = [task.task for task in experiment.tasks]
    theirs = _data_sets(paper)
    if reference.tasks and not set(reference.tasks) & set(ours):
        # A profile may have other tasks than the file, so a name that is none of ours is no fault by itself.
        named = next(iter(reference.tasks))
        message = f"names none of the tasks{suggestion(named, ours)}; they are {', '.join(ours)}"
        yield Fault(("reference", "tasks"), message, rests_on=(("tasks",),))
    for name, paper_name in reference.tasks.items():
        path: PathTo = ("reference", "tasks", name)
        if paper_name not in theirs:
            known = f"{suggestion(paper_name, theirs)}; it has {', '.join(theirs)}"
            yield Fault(path, f"{paper.paper} has no data set '{paper_name}'{known}")


def with_used_parts(experiment: Experiment) -> Experiment:
    """The experiment with only those tables and claims of its paper that it names."""
    if experiment.reference is None:
        return experiment
    reference = experiment.reference
    tables, claims = reference.paper.tables, reference.paper.claims
    used = {
        "tables": tuple(each for each in tables if _is_used(each.table, reference.tables)),
        "claims": tuple(each for each in claims if _is_used(each.claim, reference.claims)),
    }
    paper = reference.paper.model_copy(update=used)
    return experiment.model_copy(update={"reference": reference.model_copy(update={"paper": paper})})


def _is_used(name: str, named: Iterable[str] | None) -> bool:
    return named is None or name in named


def _of_paper(paper: Paper, above: PathTo) -> Iterator[Fault]:
    yield from _twice((*above, "tables"), "table", [table.table for table in paper.tables])
    yield from _twice((*above, "claims"), "claim", [claim.claim for claim in paper.claims])
    for index, table in enumerate(paper.tables):
        yield from _twice((*above, "tables", index, "rows"), "row", [row.row for row in table.rows])
    known = _data_sets(paper)
    for index, claim in enumerate(paper.claims):
        for position, task in enumerate(claim.tasks):
            if known and task not in known:
                message = f"no table has the data set '{task}'{suggestion(task, known)}"
                yield Fault((*above, "claims", index, "tasks", position), message)


def _data_sets(paper: Paper) -> list[str]:
    in_tables = (name for table in paper.tables for row in table.rows for name in row.values)
    return list(dict.fromkeys([*paper.data, *in_tables]))


def _twice(path: PathTo, kind: str, names: list[str]) -> Iterator[Fault]:
    seen: Counter[str] = Counter()
    for index, name in enumerate(names):
        if seen[name]:
            yield Fault((*path, index, kind), f"duplicate {kind} '{name}'")
        seen[name] += 1


def _unknown(part: str, named: Iterable[str] | None, known: list[str], paper: str) -> Iterator[Fault]:
    for index, name in enumerate(named or ()):
        if name not in known:
            kind = part.removesuffix("s")
            has = f"{suggestion(name, known)}; it has {', '.join(known) or 'none'}"
            yield Fault(("reference", part, index), f"{paper} has no {kind} '{name}'{has}")
