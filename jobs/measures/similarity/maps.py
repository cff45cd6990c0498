"""Heat maps of layer similarity: one panel per condition, on a shared scale."""

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure

from layerscope.jobs.artifacts.maps import read_similarity
from layerscope.jobs.measures.similarity.blocks_table import agreed_blocks
from layerscope.jobs.report.comparing import Conditions
from layerscope.jobs.report.conditions import (
    condition_label,
    factor_label,
    shared_label,
    users_by_folder,
    variants_of,
    varied_factors,
)
from layerscope.jobs.report.drawing import heat_maps
from layerscope.jobs.report.study import VariantResult

MAX_MAPS = 12
"""Heat maps in one figure; the best conditions are shown first."""

PAIRS = {
    "start": ("fine-tuned against base model", "layer of the base model", "layer of the fine-tuned model"),
    "within": ("within the fine-tuned model", "layer", "layer"),
    "within/start": (
        "within the base model",
        "layer",
        "layer",
    ),
}
"""The models in a map's title, its x label and its y label, by the end of its role."""
MEASURES = {
    "cka": "CKA",
    "biased_cka": "biased CKA",
    "rbf": "CKA with a Gaussian kernel",
    "procrustes": "Procrustes similarity",
    "svcca": "SVCCA",
    "pwcca": "PWCCA",
    "rsa": "RSA",
    "mutual_knn": "mutual k-NN",
    "leverage": "CKA without the 1 % highest-leverage examples",
    "partial_cka": "partial CKA (controlling for token counts)",
    "minibatch_cka": "mini-batch CKA (estimate)",
}
"""Display names of the measures."""
BLOCKS_BY_ROLE = {"cka/within": "blocks", "cka/within/start": "blocks/start"}


def map_figures(task: str, conditions: Conditions) -> dict[str, Figure]:
    """Figures by name, as `maps/<task>/cka_within`: one per kind of map, one panel per condition.

    Maps within base models have one panel per base model instead.
    """
    everyone = variants_of(conditions)
    figures = {}
    for role in _map_roles(everyone):
        is_start = measure_and_pair(role)[1] == "within/start"
        groups, legend = (_by_start(everyone, role), "") if is_start else _by_condition(conditions)
        means = {label: mean_map(variants, role) for label, variants in groups.items()}
        maps = {label: similarity for label, similarity in means.items() if similarity is not None}
        if not maps:
            continue
        shown = dict(list(maps.items())[:MAX_MAPS])
        title = _title(task, role)
        if len(shown) < len(maps):
            title += f" (the {len(shown)} best of {len(maps)} conditions)"
        if len(shown) > 1 and legend:
            title += f"; each panel: {legend}"
        figures[f"maps/{task}/{role.replace('/', '_')}"] = _figure(title, role, shown, groups)
    return figures


def variant_map_figures(variant: VariantResult) -> dict[str, Figure]:
    """The maps of one variant by role; the map within its base model, which others share, is the study's."""
    label = condition_label(variant.condition)
    roles = [role for role in _map_roles([variant]) if measure_and_pair(role)[1] != "within/start"]
    maps = {role: mean_map([variant], role) for role in roles}
    return {
        role: _figure(_title(variant.task, role), role, {label: similarity}, {label: [variant]})
        for role, similarity in maps.items()
        if similarity is not None
    }


def measure_and_pair(role: str) -> tuple[str, str]:
    """A measure of `MEASURES` and a key of `PAIRS`, from `cka/start` or `similarity/rbf/start`."""
    kind, _, rest = role.partition("/")
    if kind == "cka":
        return kind, rest
    measure, _, pair = rest.partition("/")
    return measure, pair


def _figure(
    title: str, role: str, maps: Mapping[str, np.ndarray], groups: Mapping[str, Sequence[VariantResult]]
) -> Figure:
    measure, pair = measure_and_pair(role)
    _, x_label, y_label = PAIRS[pair]
    marked = BLOCKS_BY_ROLE.get(role)
    blocks = {label: agreed_blocks(groups[label], marked) for label in maps} if marked else None
    return heat_maps(title, x_label, y_label, maps, measure=MEASURES[measure], blocks=blocks)


def _map_roles(variants: Sequence[VariantResult]) -> list[str]:
    """Those of CKA first, then the further measures."""
    roles = dict.fromkeys(role for variant in variants for role in variant.folders)
    found = [role for role in roles if role.startswith(("cka/", "similarity/"))]
    found = [role for role in found if measure_and_pair(role)[1] in PAIRS]
    return sorted(found, key=lambda role: (role.partition("/")[0], measure_and_pair(role)[1] != "start"))


def _title(task: str, role: str) -> str:
    measure, pair = measure_and_pair(role)
    return f"{task}: {MEASURES[measure]} of layers, {PAIRS[pair][0]}"


def _by_condition(conditions: Conditions) -> tuple[dict[str, Sequence[VariantResult]], str]:
    """The variants of each panel by the values of their factors, and the factors' names; full names if the
    values are ambiguous."""
    factors = list(varied_factors(variants_of(conditions)))
    labels = {
        name: " · ".join(factor_label(variants[0], factor) for factor in factors)
        for name, variants in conditions.items()
    }
    if factors and len(set(labels.values())) == len(labels):
        return {labels[name]: variants for name, variants in conditions.items()}, " · ".join(factors)
    return {condition_label(name): variants for name, variants in conditions.items()}, ""


def _by_start(variants: Sequence[VariantResult], role: str) -> dict[str, Sequence[VariantResult]]:
    users = users_by_folder([variant for variant in variants if variant.state == "done"], role)
    return {shared_label(of, variants) or "base model": of[:1] for of in users.values()}


def mean_map(variants: Sequence[VariantResult], role: str) -> np.ndarray | None:
    """Mean over the done seeds, (layers of the fine-tuned model, of the other), NaN where a seed has NaN;
    None without a map. The base model has more layers if unused top layers of the fine-tuned model were
    removed."""
    folders = [v.folders[role] for v in variants if v.state == "done" and role in v.folders]
    maps = [found for found in map(read_similarity, folders) if found is not None]
    return np.mean(maps, axis=0) if maps else None
