"""Continued pretrainings by name: snapshots, chains, corpora, and their errors."""

from collections.abc import Iterator, Sequence

from layerscope.jobs.specs.faults import Fault, PathTo
from layerscope.orchestrator.experiment.experiment import Experiment, PretrainingSettings
from layerscope.orchestrator.experiment.faults import suggestion
from layerscope.orchestrator.experiment.variants import written_values

NONE = "none"


def name_and_step(start: str) -> tuple[str, int | None]:
    """The pretraining that a recipe starts from, and the step of its snapshot if it names one."""
    name, _, step = start.partition("@")
    return name, int(step) if step else None


def chain(experiment: Experiment, name: str) -> list[str]:
    """Names of pretrainings from the first to this one; ends at a repeated or unknown name."""
    links: list[str] = []
    link: str | None = name
    while link is not None and link not in links and link in experiment.pretraining:
        links.insert(0, link)
        link = experiment.pretraining[link].after
    return links


def corpora_of(experiment: Experiment, pretraining: PretrainingSettings, task: str) -> list[str]:
    """Names of the tasks and corpora whose training texts are read for a task, without order."""
    domains = {one.task: one.domain for one in (*experiment.tasks, *experiment.corpora)}
    match pretraining.corpus:
        case "within-task":
            return [task]
        case "in-domain":
            return [name for name, domain in domains.items() if domain == domains[task]]
        case "cross-domain":
            return list(domains)
        case names:
            return list(dict.fromkeys(names))


def pretraining_faults(experiment: Experiment) -> Iterator[Fault]:
    """Errors in chains, corpora, snapshots and the pretrainings of recipes."""
    values = [(path, str(value)) for path, value in written_values(experiment, "pretraining")]
    if NONE in experiment.pretraining:
        message = f"the name '{NONE}' is reserved for no continued pretraining: choose another"
        yield Fault(("pretraining", NONE), message, of_key=True)
    for name, pretraining in experiment.pretraining.items():
        yield from _of_chain(experiment, name, pretraining)
        yield from _of_corpus(experiment, name, pretraining)
        yield from _of_snapshots(name, pretraining)
    for path, start in values:
        yield from _of_start(experiment, path, start)
    yield from _of_domains(experiment, values)


def _of_start(experiment: Experiment, path: PathTo, start: str) -> Iterator[Fault]:
    name, step = name_and_step(start)
    if start in experiment.multi_task:
        return
    starts = (*experiment.pretraining, *experiment.multi_task)
    known = (NONE, *(name for name in starts if name != NONE))
    if name not in known or (name not in experiment.pretraining and step is not None):
        message = f"there is no pretraining '{start}'{suggestion(name, known)}; known: {', '.join(known)}"
        yield Fault(path, message, rests_on=(("pretraining", name), ("multi_task", name)))
    elif name != NONE and step is not None:
        pretraining = experiment.pretraining[name]
        kept = sorted({*pretraining.snapshots, pretraining.steps})
        if step not in kept:
            message = (
                f"pretraining '{name}' has no snapshot at step {step}: it has "
                f"{', '.join(f'{name}@{one}' for one in kept)} (pretraining.{name}.snapshots)"
            )
            yield Fault(path, message, rests_on=(("pretraining", name),))


def _of_chain(experiment: Experiment, name: str, pretraining: PretrainingSettings) -> Iterator[Fault]:
    path, after = ("pretraining", name, "after"), pretraining.after
    if after is None:
        return
    if after not in experiment.pretraining:
        others = [other for other in experiment.pretraining if other != name]
        message = f"there is no pretraining '{after}'{suggestion(after, others)}; known: {', '.join(others)}"
        yield Fault(path, message)
        return
    links = chain(experiment, name)
    # Every link of a cycle sees the cycle; the first one reports it.
    if experiment.pretraining[links[0]].after == name == min(links, key=list(experiment.pretraining).index):
        yield Fault(path, f"is a cycle: {' after '.join([*reversed(links), name])}")


def _of_corpus(experiment: Experiment, name: str, pretraining: PretrainingSettings) -> Iterator[Fault]:
    if isinstance(pretraining.corpus, str):
        return
    known = [one.task for one in (*experiment.tasks, *experiment.corpora)]
    for index, corpus in enumerate(pretraining.corpus):
        path = ("pretraining", name, "corpus", index)
        if corpus not in known:
            message = (
                f"there is no task or corpus '{corpus}'{suggestion(corpus, known)}; known: {', '.join(known)}"
            )
            yield Fault(path, message, rests_on=(("tasks",), ("corpora",)))
        elif corpus in pretraining.corpus[:index]:
            yield Fault(path, f"duplicate corpus {corpus}")


def _of_snapshots(name: str, pretraining: PretrainingSettings) -> Iterator[Fault]:
    for index, step in enumerate(pretraining.snapshots):
        path = ("pretraining", name, "snapshots", index)
        if step > pretraining.steps:
            message = f"must be at most steps, which is {pretraining.steps}, not {step}"
            yield Fault(path, message, rests_on=(("pretraining", name, "steps"),))
        elif step in pretraining.snapshots[:index]:
            yield Fault(path, f"duplicate step {step}")


def _of_domains(experiment: Experiment, values: Sequence[tuple[PathTo, str]]) -> Iterator[Fault]:
    """Every task is fine-tuned from every pretraining that the recipes name."""
    used = {link for _, start in values for link in chain(experiment, name_and_step(start)[0])}
    without = [task.task for task in experiment.tasks if task.domain is None]
    for name in experiment.pretraining:
        if name in used and without and experiment.pretraining[name].corpus == "in-domain":
            message = (
                f"in-domain needs to know the domain of each task: give domain in {', '.join(without)}, "
                "as domain: sentiment"
            )
            yield Fault(("pretraining", name, "corpus"), message, rests_on=(("tasks",),))
