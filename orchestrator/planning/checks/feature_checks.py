"""Whether frozen features are of layers that the encoder has, and their files stay within the budget."""

from collections.abc import Mapping

from layerscope.jobs.specs.faults import Fault, factor_fault
from layerscope.jobs.specs.features import chosen_layers
from layerscope.orchestrator.experiment.experiment import Experiment
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.task_texts import TaskTexts

BYTES = 2
"""Of a number in float16."""


def feature_faults(
    experiment: Experiment, encoder: LocatedEncoder, texts_by_task: Mapping[str, TaskTexts]
) -> list[Fault]:
    """Layers that the encoder lacks, and features that would be larger than the budget."""
    asked = [value for value in possible_values(experiment, "features") if value is not None]
    if not asked:
        return []
    depth, width = encoder.facts.num_layers, encoder.facts.width
    faults, num_layers = [], 0
    for value in asked:
        try:
            num_layers = max(num_layers, len(chosen_layers(value, depth)))
        except ValueError as error:
            faults.append(factor_fault("features", f"{encoder.name}: {error}"))
    longest = max(int(value) for value in possible_values(experiment, "max_length"))
    row = width * num_layers * BYTES
    budget = experiment.feature_budget_gb
    for task, texts in texts_by_task.items() if row else ():
        gigabytes = texts.count_tokens(encoder, longest, int(budget * 1e9 / row)) * row / 1e9
        if gigabytes > budget:
            message = (
                f"task {task} takes up to {gigabytes:.3g} GB at {longest} tokens and {num_layers} x {width} "
                f"numbers each, over feature_budget_gb {budget:g}: use a shorter max_length, fewer layers, a "
                "higher budget, or training end to end (features: null)"
            )
            faults.append(factor_fault("features", message))
    return faults
