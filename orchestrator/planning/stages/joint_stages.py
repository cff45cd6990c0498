"""Joint training of several tasks as a stage; whoever names it starts from the same one."""

from layerscope.jobs.specs.multitask import JointTraining, MultitaskSpec
from layerscope.orchestrator.experiment.experiment import Experiment, Recipe
from layerscope.orchestrator.planning.plan import Stage, make_stage
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.sources import Sources, TaskSource
from layerscope.orchestrator.planning.stages.view_stages import view_of


def joint_training(
    experiment: Experiment, sources: Sources, encoder: LocatedEncoder, name: str, *, after: Stage | None
) -> Stage[MultitaskSpec]:
    """The joint training of a name under `multi_task`, which begins where the stage `after` ended."""
    asked = experiment.multi_task[name]
    seen = Recipe(
        truncation=asked.truncation, max_length=asked.max_length, head_tokens=asked.head_tokens
    )  # as much of a recipe as says how texts are cut
    tasks = joint_tasks(experiment, name)
    texts = {task: source for task, source in sources.tasks.items() if isinstance(source, TaskSource)}
    views: dict[str, Stage] = {f"data/{task}": view_of(texts[task], encoder, seen) for task in tasks}
    training = JointTraining(**{field: getattr(asked, field) for field in JointTraining.model_fields})
    spec = MultitaskSpec(encoder=encoder.digest, training=training)
    parents = views | ({"encoder": after} if after else {})
    return make_stage(spec, parents=parents, files={"encoder": str(encoder.folder)})


def joint_tasks(experiment: Experiment, name: str) -> tuple[str, ...]:
    """The tasks of a joint training: those it names, or all."""
    return experiment.multi_task[name].tasks or tuple(task.task for task in experiment.tasks)
