"""Fields of specs in their JSON, of which keys are made."""

from layerscope.jobs.specs.spec import Spec, later


class Before(Spec):
    kind: str = "thing"
    size: int = 1


class After(Before):
    depth: int = later(2)


def test_a_later_field_is_in_no_key_at_its_default():
    assert After().model_dump(mode="json") == After(depth=2).model_dump(mode="json")
    assert After().model_dump(mode="json") == Before().model_dump(mode="json")
    assert After(depth=3).model_dump(mode="json") == {**Before().model_dump(mode="json"), "depth": 3}
