"""Frozen features and the heads trained on them as stages, and whether their files stay within the budget."""

from collections.abc import Iterator, Mapping

from layerscope.jobs.specs.features import FeatureHeadSpec, FeaturesSpec, chosen_layers
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.specs.targets import MetricName
from layerscope.orchestrator.experiment.experiment import Experiment, Recipe
from layerscope.orchestrator.experiment.variants import possible_values
from layerscope.orchestrator.planning.plan import Stage, make_stage
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.sources.task_texts import TaskTexts

HEAD_FACTORS = (
    "learning_rate",
    "epochs",
    "batch_size",
    "warmup",
    "weight_decay",
    "max_grad_norm",
    "evaluations_per_epoch",
    "train_size",
)
"""Factors of training that concern a head alone; of a frozen encoder the others change nothing."""
BUDGET = "feature_budget_gb"
BYTES = 2
"""Of a number in float16."""


def feature_head(
    experiment: Experiment,
    encoder: LocatedEncoder,
    recipe: Recipe,
    *,
    view: Stage,
    start: Mapping[str, Stage],
    snapshot: int | None,
    seed: int,
    selected_by: MetricName | None,
) -> Stage:
    """The training of a head on the features of a view; heads, sizes and seeds share one set of features."""
    features = make_stage(
        FeaturesSpec(
            encoder=encoder.digest,
            snapshot=snapshot,
            layers=chosen_layers(recipe.features, encoder.facts.num_layers),
        ),
        parents={"data": view} | dict(start),
        files={"encoder": str(encoder.folder)},
        limits={BUDGET: experiment.feature_budget_gb},
    )
    factors = {name: getattr(recipe, name) for name in HEAD_FACTORS}
    spec = FeatureHeadSpec(
        training=Training(**factors, **({"pooling": recipe.pooling} if recipe.head == "linear" else {})),
        head=recipe.head,
        head_hidden=recipe.head_hidden if recipe.head == "bilstm" else Recipe().head_hidden,
        seed=seed,
        selected_by=selected_by,
    )
    return make_stage(spec, parents={"features": features, "data": view})


def without_effect(recipe: Recipe) -> Iterator[str]:
    """Factors that change nothing of a recipe, whatever they are."""
    if recipe.features is not None:
        yield from (name for name in Training.model_fields if name not in (*HEAD_FACTORS, "pooling"))
    if recipe.head == "bilstm":
        yield "pooling"
    else:
        yield "head_hidden"


def feature_faults(
    experiment: Experiment, encoder: LocatedEncoder, texts_by_task: Mapping[str, TaskTexts]
) -> list[str]:
    """Layers that the encoder lacks, and features that would be larger than the budget, in words."""
    asked = [value for value in possible_values(experiment, "features") if value is not None]
    if not asked:
        return []
    depth, width = encoder.facts.num_layers, encoder.facts.width
    faults, num_layers = [], 0
    for value in asked:
        try:
            num_layers = max(num_layers, len(chosen_layers(value, depth)))
        except ValueError as error:
            faults.append(f"features: {encoder.name}: {error}")
    longest = max(int(value) for value in possible_values(experiment, "max_length"))
    row = width * num_layers * BYTES
    budget = experiment.feature_budget_gb
    for task, texts in texts_by_task.items() if row else ():
        gigabytes = texts.count_tokens(encoder, longest, int(budget * 1e9 / row)) * row / 1e9
        if gigabytes > budget:
            faults.append(
                f"features: task {task} takes up to {gigabytes:.3g} GB at {longest} tokens and "
                f"{num_layers} x {width} numbers each, over {BUDGET} {budget:g}: use a shorter max_length, "
                "fewer layers, a higher budget, or training end to end (features: null)"
            )
    return faults
