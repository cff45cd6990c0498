"""Data sets of the Hugging Face Hub before they are read: their commit, and their columns in a cache."""

import json
import os
import re
from collections.abc import Sequence
from glob import escape
from pathlib import Path

from layerscope.jobs.specs.stages import HubData
from layerscope.jobs.text.reading.data_faults import lacking, listed
from layerscope.orchestrator.errors import first_line

USUAL_SUBSET = "default"
"""What the cache calls the subset of a data set that has none."""


def resolve_revision(name: str, revision: str) -> str:
    """The commit of a data set's branch or tag.

    Raises:
        ValueError: neither the cache nor the Hub knows it.
    """
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    from huggingface_hub import HfApi, constants

    reference = Path(constants.HF_HUB_CACHE) / f"datasets--{name.replace('/', '--')}" / "refs" / revision
    if reference.is_file():
        return reference.read_text(encoding="utf-8").strip()
    try:
        commit = HfApi().dataset_info(name, revision=revision, timeout=3.0).sha
    except Exception as error:  # the Hub's client raises what its HTTP library raises
        raise ValueError(
            f"data set {name!r} at {revision!r} is neither in {constants.HF_HUB_CACHE} nor to be had from "
            f"the Hub: {first_line(error)}"
        ) from error
    assert commit is not None
    return commit


def check_columns(data: HubData, columns: Sequence[str]) -> None:
    """Refuse columns that the data set, where `datasets` has it in its cache, does not have.

    Raises:
        ValueError: columns are missing; names those that are there.
    """
    there = _cached_columns(data)
    if there is None:
        return
    if missing := [name for name in dict.fromkeys(columns) if name not in there]:
        place = f"{data.name}{f' ({data.subset})' if data.subset else ''} at {data.revision}"
        raise ValueError(listed([f"{place}{lacking(name, there)}" for name in missing]))


def _cached_columns(data: HubData) -> tuple[str, ...] | None:
    """None where the cache does not say it: the data set is read when it is prepared, which tells it then."""
    pattern = f"*/{escape(data.subset or USUAL_SUBSET)}/*/{data.revision}/dataset_info.json"
    found: set[tuple[str, ...]] = set()
    for path in _datasets_cache().glob(pattern):
        try:
            features = json.loads(path.read_text(encoding="utf-8"))["features"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        found.add(tuple(features or ()))
    columns = found.pop() if len(found) == 1 else ()
    return columns or None


def _datasets_cache() -> Path:
    """Where `datasets` keeps what it has read; importing it takes half a second."""
    from huggingface_hub import constants

    return Path(os.environ.get("HF_DATASETS_CACHE") or Path(constants.HF_HOME) / "datasets")
