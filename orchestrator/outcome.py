"""How a run ended."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from layerscope.orchestrator.search.cells import Progress


@dataclass(frozen=True)
class Outcome:
    """What became of stages and variants, and where it is shown."""

    stages: Mapping[str, int]
    """computed, stored, failed, blocked."""
    variants: Mapping[str, int]
    """done, stopped, failed."""
    report: Path
    num_unpublished: int
    search: "tuple[Progress, ...]" = ()
    """How far each study of a search is."""

    def as_json(self) -> dict[str, Any]:
        """What the last JSON line of a run says."""
        return {
            "stages": dict(self.stages),
            "variants": dict(self.variants),
            "report": str(self.report),
            "unpublished": self.num_unpublished,
            **({"search": [asdict(one) for one in self.search]} if self.search else {}),
        }

    @property
    def is_complete(self) -> bool:
        """Whether nothing failed and all was published."""
        return not (
            self.stages["failed"] or self.stages["blocked"] or self.variants["failed"] or self.num_unpublished
        )
