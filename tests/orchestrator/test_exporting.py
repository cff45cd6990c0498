import json

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.exporting import export_variant
from orchestrator.store.artifacts import Store


def write(store: Store, kind: str, key: str, **record) -> None:
    folder = store.root / kind / key
    folder.mkdir(parents=True)
    record = {"kind": kind, "key": key, "spec": {}, "parents": {}, "metrics": {}, "provenance": {}} | record
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        ("annotate", {}),
        ("prepare", {"columns": {}, "predict": "number"}),
        ("prepare", {"columns": {"choices": "options"}}),
    ],
    ids=["words", "numbers", "choices"],
)
def test_only_labels_of_texts_can_be_exported(tmp_path, kind, spec):
    store = Store(tmp_path / "store")
    write(store, "finetune", "abc", parents={"data": "data"})
    write(store, kind, "data", spec=spec)
    with pytest.raises(ConfigurationError, match="only a model that tells labels of texts"):
        export_variant("abc", store=store, out=tmp_path / "out", layers="1", tolerance="0.5%", head="tuned")
    assert not (tmp_path / "out").exists()
