"""The commit that a name on the Hugging Face Hub stands for: from its cache, else from the Hub."""

import re
from pathlib import Path

from layerscope.orchestrator.errors import first_line


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
