"""Encoders of a bench have no weights: their facts are those that their config.json gives."""

from pathlib import Path

import pytest

from layerscope.orchestrator.planning.sources.encoder_facts import facts_of
from tests.orchestrator.bench import facts_as_written, has_weights


@pytest.fixture(autouse=True)
def _facts_without_weights(monkeypatch):
    def found(folder: Path, **digests: str):
        return facts_of(folder, **digests) if has_weights(folder) else facts_as_written(folder)

    monkeypatch.setattr("layerscope.orchestrator.planning.sources.encoder_folders.facts_of", found)
