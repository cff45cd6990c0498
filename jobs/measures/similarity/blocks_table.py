"""The blocks of similar layers in the maps of each condition: for frames in the maps, and a table."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from layerscope.jobs.artifacts.layer_blocks import LayerBlocks, ranges_of, read_layer_blocks
from layerscope.jobs.report.conditions import (
    condition_label,
    conditions_by_task,
    shared_label,
    users_by_folder,
    variants_of,
)
from layerscope.jobs.report.study import Study, VariantResult


@dataclass(frozen=True)
class BlockRow:
    """The blocks in the maps of the seeds of a condition, or of a base model."""

    task: str
    condition: str
    num_maps: int
    num_blocks: str
    """Number of blocks by seed, as `2, 2, 1`."""
    ranges: str
    """As `0-4, 5-12`; with the number of seeds if they differ."""
    gain: float
    excess: float
    lag_contrast: float
    p_value: str
    """Lowest and highest if seeds differ."""


def block_rows(study: Study) -> list[BlockRow]:
    """One row per base model and per condition with a map, grouped by task."""
    rows = []
    for task, conditions in conditions_by_task(study).items():
        everyone = variants_of(conditions)
        done = [variant for variant in everyone if variant.state == "done"]
        for users in users_by_folder(done, "blocks/start").values():
            label = shared_label(users, everyone)
            name = f"base model: {label}" if label else "base model"
            rows += _row(task, name, found_blocks(users[:1], "blocks/start"))
        for name, variants in conditions.items():
            rows += _row(task, condition_label(name), found_blocks(variants, "blocks"))
    return rows


def found_blocks(variants: Iterable[VariantResult], role: str) -> list[LayerBlocks]:
    """Blocks of the done variants; maps with too few layers have none."""
    read = [read_layer_blocks(v.folders[role]) for v in variants if v.state == "done" and role in v.folders]
    return [found for found in read if found is not None]


def agreed_blocks(variants: Iterable[VariantResult], role: str) -> tuple[tuple[int, int], ...]:
    """First and last layer of the blocks whose boundaries occur in more than half of the seeds; else
    empty."""
    found = found_blocks(variants, role)
    counts = Counter(start for one in found for start in one.starts[1:])
    borders = sorted(start for start, count in counts.items() if count > len(found) / 2)
    return ranges_of(found[0].layers, (found[0].layers[0], *borders)) if borders else ()


def _row(task: str, condition: str, found: Sequence[LayerBlocks]) -> list[BlockRow]:
    if not found:
        return []
    segmentations = Counter(", ".join(f"{first}–{last}" for first, last in one.ranges) for one in found)
    ranges = (
        next(iter(segmentations))
        if len(segmentations) == 1
        else "; ".join(f"{ranges} ({count} of {len(found)} seeds)" for ranges, count in segmentations.items())
    )
    p_values = sorted({f"{one.p_value:.3f}" for one in found})
    return [
        BlockRow(
            task=task,
            condition=condition,
            num_maps=len(found),
            num_blocks=", ".join(str(len(one.starts)) for one in found),
            ranges=ranges,
            gain=fmean(one.gain for one in found),
            excess=fmean(one.excess for one in found),
            lag_contrast=fmean(one.lag_contrast for one in found),
            p_value=p_values[0] if len(p_values) == 1 else f"{p_values[0]} to {p_values[-1]}",
        )
    ]
