"""The reference paper of a study."""

from collections.abc import Mapping

from layerscope.jobs.report.paper.paper_recipes import StudyReference
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder


def study_reference(experiment: Experiment, encoders: Mapping[str, LocatedEncoder]) -> StudyReference | None:
    """The reference of a study; tasks that do not map to a paper task by name use the same name."""
    if experiment.reference is None:
        return None
    paper, names = experiment.reference.paper, experiment.reference.tasks
    known = {*paper.data, *(name for table in paper.tables for row in table.rows for name in row.values)}
    by_task = {task.task: names.get(task.task, task.task) for task in experiment.tasks}
    return StudyReference(
        paper=paper,
        paper_task_by_task={task: name for task, name in by_task.items() if name in known},
        encoders={name: encoder.name for name, encoder in encoders.items()},
        num_layers=next(iter(encoders.values())).facts.num_layers,
    )
