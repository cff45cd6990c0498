import json
import math
import subprocess
import sys

import pytest

from layerscope.jobs.measures.probe.specs import ProbeSpec
from layerscope.jobs.measures.similarity.specs import CkaSpec
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.specs.stages import FinetuneSpec
from layerscope.orchestrator.planning.fingerprint import canonical_json, fingerprint, stage_key


def test_canonical_json_does_not_know_the_order_of_keys_or_who_made_the_sequence():
    one = {"b": [1, 2.5, None, True], "a": {"y": "é", "x": []}}
    other = {"a": {"x": (), "y": "é"}, "b": (1, 2.5, None, True)}
    assert canonical_json(one) == canonical_json(other)
    assert canonical_json(one) == '{"a":{"x":[],"y":"\\u00e9"},"b":[1,2.5,null,true]}'
    assert json.loads(canonical_json(one)) == one


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_not_finite_are_refused_with_their_place(number):
    with pytest.raises(
        ValueError, match=r"value\.spec\.rates\[1\] is (nan|inf|-inf): .* finite numbers only"
    ):
        canonical_json({"spec": {"rates": [0.1, number]}})


def test_keys_that_are_no_strings_and_values_that_json_lacks_are_refused():
    with pytest.raises(ValueError, match=r"value\.layers has the key 1: keys are strings"):
        canonical_json({"layers": {1: "one"}})
    with pytest.raises(ValueError, match=r"value\.names is a set: a key is made of JSON values only"):
        canonical_json({"names": {"a"}})
    with pytest.raises(ValueError, match="value is a bytes"):
        canonical_json(b"bytes")


def test_numbers_keep_their_kind():
    assert len({fingerprint(value) for value in (1, 1.0, True, "1")}) == 4


def test_the_key_of_a_stage_is_golden():
    spec = FinetuneSpec(encoder="0123456789abcdef", training=Training(), seed=1)
    assert stage_key(spec, {"data": "fedcba9876543210"}) == "1ce18a9e0b2d27cf"


def test_a_key_is_the_same_in_another_process():
    code = (
        "from layerscope.jobs.measures.probe.specs import ProbeSpec;"
        "from layerscope.orchestrator.planning.fingerprint import stage_key;"
        "print(stage_key(ProbeSpec(), {'states': 'a' * 16}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == stage_key(ProbeSpec(), {"states": "a" * 16})


def test_a_default_that_is_written_out_changes_nothing():
    written = CkaSpec(against="start", debiased=True, version=1)
    assert stage_key(written, {}) == stage_key(CkaSpec(against="start"), {})


def test_kind_spec_version_parents_and_their_roles_all_are_identity():
    spec, parents = CkaSpec(against="start"), {"states": "a" * 16, "other": "b" * 16}
    changed = [
        stage_key(spec, parents),
        stage_key(CkaSpec(against="itself"), parents),
        stage_key(spec.model_copy(update={"version": 2}), parents),
        stage_key(spec.model_copy(update={"kind": "pwcca"}), parents),
        stage_key(spec, {"states": "b" * 16, "other": "a" * 16}),
        stage_key(spec, {"states": "a" * 16}),
    ]
    assert len(set(changed)) == len(changed)
