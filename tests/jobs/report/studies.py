"""Builds studies on disk for the tests of the report: records, curves, predictions and maps."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from layerscope.jobs.artifacts import maps, predictions
from layerscope.jobs.artifacts import record as record_of_artifact
from layerscope.jobs.artifacts.curves import CURVES, append_points, forget_curves, read_curves
from layerscope.jobs.artifacts.maps import LayerMap
from layerscope.jobs.artifacts.predictions import Predictions
from layerscope.jobs.report.study import Study, VariantResult
from layerscope.jobs.specs.roles import NOT_MEASURES, Role


def make_variant(root: Path, *, task: str = "topic", seed: int = 0, **recipe: object) -> VariantResult:
    """A done variant with an empty finetune folder, named after its recipe."""
    condition = " ".join(f"{factor}={value}" for factor, value in recipe.items())
    key = f"{len(list(root.iterdir())):016x}"
    folder = root / key
    folder.mkdir()
    return VariantResult(condition, task, seed, recipe, key, "done", folders={"finetune": folder})


def write_record(variant: VariantResult, **metrics: float) -> VariantResult:
    """Metric names have `__` for the slash: `test__accuracy`."""
    named = {name.replace("__", "/"): value for name, value in metrics.items()}
    record = {
        "kind": "finetune",
        "key": variant.key,
        "metrics": named,
        "provenance": {"versions": {"torch": "2.13.0"}},
    }
    record_of_artifact.write_record(variant.folders["finetune"], record)
    return variant


def write_predictions(variant: VariantResult, correct: Sequence[int]) -> VariantResult:
    """Predictions that are right where `correct` is 1."""
    ids = [str(row) for row in range(len(correct))]
    table = Predictions(ids, labels=[1] * len(correct), predictions=[int(one) for one in correct])
    predictions.write_predictions(variant.folders["finetune"], table)
    return variant


def logged_curves(study: Study) -> dict[str, set[str]]:
    """Names of the curves over layers that a study's artifacts have, by measure."""
    found: dict[str, set[str]] = {}
    for variant in study.variants:
        for role, folder in variant.folders.items():
            if role not in NOT_MEASURES:
                found.setdefault(Role.parse(role).measure, set()).update(
                    one.metric for one in read_curves(folder)
                )
    return {measure: names for measure, names in found.items() if names}


def write_curves(
    variant: VariantResult, role: str, curves: Mapping[str, Mapping[int, float]]
) -> VariantResult:
    """Curves of a role, whose folder is made where it is missing."""
    beside = variant.folders["finetune"].parent / f"{role.replace('/', '-')}-{variant.key}"
    folder = variant.folders.get(role, beside)
    folder.mkdir(exist_ok=True)
    forget_curves(folder)
    (folder / CURVES).touch()
    for step in sorted({step for values in curves.values() for step in values}):
        append_points(folder, step, {m: of[step] for m, of in curves.items() if step in of})
    return replace(variant, folders={**variant.folders, role: folder})


def write_map(variant: VariantResult, role: str, similarity: np.ndarray) -> VariantResult:
    """A similarity map beside the curves of a cka role."""
    variant = write_curves(variant, role, {})
    maps.write_map(variant.folders[role], LayerMap(similarity))
    return variant


def make_study(*variants: VariantResult, **changes: object) -> Study:
    """A study of accuracies."""
    tasks = dict.fromkeys(variant.task for variant in variants)
    study = Study(
        "fake", "A study for a test.", "tiny", "name: fake\n", dict.fromkeys(tasks, "accuracy"), variants
    )
    return replace(study, **changes)


def realistic_study(root: Path, *, num_examples: int = 300, num_layers: int = 6) -> Study:
    """2 tasks x 12 conditions x 2 seeds with all measures, where truncation `both` is planted as best."""
    random = np.random.default_rng(0)
    factors = [0.9, 1.0], ["head", "tail", "both"], ["none", "within_task"]
    cells = itertools.product(["topic", "sentiment"], *factors)
    variants = [
        _realistic_variant(root, random, num_examples, num_layers, task, seed, decay, truncation, pretraining)
        for task, decay, truncation, pretraining in cells
        for seed in (0, 1)
    ]
    return make_study(
        *variants,
        experiment="quickstart",
        description="How do layer-wise decay, truncation and further pretraining change a small encoder?",
        encoder="sentence-transformers/all-MiniLM-L6-v2",
        yaml="name: quickstart\ngrid:\n  layer_decay: [0.9, 1.0]\n  truncation: [head, tail, both]\n",
        notes=("In topic, no text is longer than the limit for 3 of 12 cells: they collapse into one.",),
    )


def _realistic_variant(
    root: Path,
    random: np.random.Generator,
    num_examples: int,
    num_layers: int,
    task: str,
    seed: int,
    decay: float,
    truncation: str,
    pretraining: str,
) -> VariantResult:
    variant = make_variant(
        root, task=task, seed=seed, layer_decay=decay, truncation=truncation, pretraining=pretraining
    )
    skill = {"head": 0.86, "tail": 0.80, "both": 0.93}[truncation] + 0.01 * (decay < 1)
    correct = random.random(num_examples) < skill + 0.015 * (pretraining != "none")
    write_predictions(variant, correct.astype(int))
    accuracy = float(correct.mean())
    write_record(
        variant,
        test__accuracy=accuracy,
        test__loss=1 - accuracy,
        validation__accuracy=accuracy + 0.01,
        train__seconds=float(60 + 10 * random.random()),
        diverged=0.0,
    )
    steps = np.arange(1, 301)
    loss = 1.6 * np.exp(-steps / 60) + 0.15 + 0.08 * random.standard_normal(len(steps))
    learned = {int(s): accuracy + 0.01 - 0.5 * np.exp(-s / 50) for s in steps[19::20]}
    curves = {
        "train/loss": dict(zip(steps.tolist(), loss.tolist(), strict=True)),
        "validation/accuracy": learned,
    }
    variant = write_curves(variant, "finetune", curves)
    layers = np.arange(num_layers + 1)
    noise = 0.01 * random.standard_normal(num_layers + 1)
    probe = {int(k): float(v) for k, v in zip(layers, 0.6 + 0.05 * layers + noise, strict=True)}
    tags = {int(k): float(v) for k, v in zip(layers, 0.9 - 0.02 * (layers - 2) ** 2 + noise, strict=True)}
    variant = write_curves(variant, "probe", {"accuracy": probe})
    variant = write_curves(variant, "probe/pos", {"accuracy": tags})
    depth = {int(k): accuracy * (1 - 0.6 * float(np.exp(-k / 1.5))) for k in layers}
    variant = write_curves(variant, "depth", {"accuracy": depth})
    distance = np.abs(layers[:, None] - layers[None, :])
    similarity = np.exp(-distance / 4 - layers[:, None] / (12 * decay))
    if truncation == "tail":
        similarity[0, :] = np.nan
    variant = write_map(variant, "cka/start", similarity)
    variant = write_map(variant, "cka/within", np.exp(-distance / 3))
    same = {int(k): float(similarity[k, k]) for k in layers}
    variant = write_curves(variant, "cka/start", {"same_layer": same})
    if pretraining == "none":
        return variant
    shared = root / f"pretrain-{task}-{seed}"
    shared.mkdir(exist_ok=True)
    variant = replace(variant, folders={**variant.folders, "pretrain": shared})
    mlm = {int(s): float(2.5 + 3 * np.exp(-s / 80) + 0.1 * seed) for s in steps[::10]}
    return write_curves(variant, "pretrain", {"train/mlm_loss": mlm, "validation/mlm_loss": mlm})
