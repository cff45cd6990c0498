"""Training texts left out of a continued pretraining because a test set contains them."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

OVERLAP = "overlap.json"


def write_overlap(folder: Path, overlap: Mapping[str, Any]) -> None:
    """Write how many texts were left out, and which."""
    (folder / OVERLAP).write_text(json.dumps(overlap, indent=1) + "\n", encoding="utf-8")
