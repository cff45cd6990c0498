from pathlib import Path

import pytest

from layerscope.jobs.specs.recipe import Training
from layerscope.orchestrator.experiment.experiment import Recipe
from layerscope.orchestrator.planning.sources.encoder_folders import LocatedEncoder
from layerscope.orchestrator.planning.stages import effective_recipes as recipes
from tests.orchestrator.bench import Bench

ENCODER = LocatedEncoder(Path("nowhere"), "digest", "digest", "encoder")
NOTHING_POOLED = {"layer_pooling": None, "window_pooling": None}
"""What a head that reads one layer of texts of one sequence has instead of a pooling."""


def training_of(recipe: Recipe) -> Training:
    return recipes.training_of(recipe, ENCODER, in_windows=False)


@pytest.mark.parametrize(
    "factors",
    [
        {"decay_convention": "electra"},
        {"decay_convention": "sun-code", "embeddings_rate": "decayed"},
        {"lora_alpha": 32.0, "lora_dropout": 0.1},
    ],
    ids=str,
)
def test_factors_without_effect_do_not_make_another_training(factors):
    assert training_of(Recipe(**factors)) == Training(**NOTHING_POOLED)


def test_nothing_decays_in_a_frozen_encoder():
    frozen = Recipe(frozen_layers="all", layer_decay=0.9, decay_convention="timm", embeddings_rate="base")
    assert training_of(frozen) == Training(frozen_layers="all", **NOTHING_POOLED)


@pytest.mark.parametrize(
    "factors",
    [
        {"decay_convention": "revisit"},
        {"decay_convention": "electra", "layer_decay": 0.9},
        {"embeddings_rate": "base", "layer_decay": 0.9},
        {"lora_alpha": 32.0, "lora_rank": 8},
        {"head_learning_rate": 1e-3},
    ],
    ids=str,
)
def test_factors_with_an_effect_do(factors):
    assert training_of(Recipe(**factors)) == Training(**factors, **NOTHING_POOLED)
    assert training_of(Recipe(**factors)) != training_of(Recipe())


def test_conventions_are_one_run_where_nothing_decays(tmp_path):
    grid = {"layer_decay": [1.0, 0.9], "decay_convention": ["sun-eq", "sun-code", "electra", "timm"]}
    plan = Bench(tmp_path).plan(grid=grid)
    assert sorted(variant.num_cells for variant in plan.variants) == [1, 1, 1, 1, 4]
