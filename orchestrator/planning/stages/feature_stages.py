"""Frozen features and the heads trained on them as stages."""

from collections.abc import Iterator, Mapping

from layerscope.jobs.specs.features import FeatureHeadSpec, FeaturesSpec, chosen_layers
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.specs.targets import MetricName, OwnMetric
from layerscope.orchestrator.experiment.experiment import Experiment, Recipe
from layerscope.orchestrator.planning.plan import Stage, make_stage
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder

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


def feature_head(
    experiment: Experiment,
    encoder: LocatedEncoder,
    recipe: Recipe,
    *,
    view: Stage,
    start: Mapping[str, Stage],
    snapshot: int | None,
    seed: int,
    selected_by: MetricName | OwnMetric | None,
    files: Mapping[str, str],
) -> Stage[FeatureHeadSpec]:
    """The training of a head on the features of a view; heads, sizes and seeds share one set of features."""
    assert recipe.features is not None
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
    if recipe.head == "linear":
        factors["pooling"] = recipe.pooling
    spec = FeatureHeadSpec(
        training=Training(**factors),
        head=recipe.head,
        head_hidden=recipe.head_hidden if recipe.head == "bilstm" else Recipe().head_hidden,
        seed=seed,
        selected_by=selected_by,
    )
    return make_stage(spec, parents={"features": features, "data": view}, files=files)


def without_effect(recipe: Recipe) -> Iterator[str]:
    """Factors that change nothing of a recipe, whatever they are."""
    if recipe.features is not None:
        yield from (name for name in Training.model_fields if name not in (*HEAD_FACTORS, "pooling"))
    if recipe.head == "bilstm":
        yield "pooling"
    else:
        yield "head_hidden"
