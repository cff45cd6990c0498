import json

import pytest

from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.exporting import export_variant
from layerscope.orchestrator.store.artifacts import Store


def write(store: Store, kind: str, key: str, **record) -> None:
    folder = store.root / kind / key
    folder.mkdir(parents=True)
    record = {"kind": kind, "key": key, "spec": {}, "parents": {}, "metrics": {}, "provenance": {}} | record
    (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")


def test_a_head_on_words_is_refused_with_its_reason(tmp_path):
    store = Store(tmp_path / "store")
    write(store, "finetune", "abc", parents={"data": "data"})
    write(store, "tokenise_annotations", "data")
    with pytest.raises(ConfigurationError, match="its head reads marked words or spans"):
        export_variant("abc", store=store, out=tmp_path / "out", layers="1", tolerance="0.5%", head="tuned")
    assert not (tmp_path / "out").exists()


def test_rows_with_several_right_choices_are_refused_with_their_reason(tmp_path):
    store = Store(tmp_path / "store")
    write(store, "finetune", "abc", parents={"data": "data"})
    write(store, "prepare", "data", spec={"columns": {"choices": "options", "answers": "right"}})
    with pytest.raises(ConfigurationError, match="several of a row's choices may be right"):
        export_variant("abc", store=store, out=tmp_path / "out", layers="1", tolerance="0.5%", head="tuned")
