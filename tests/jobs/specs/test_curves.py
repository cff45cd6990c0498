import pytest

from layerscope.jobs.numerics.spread import Spread
from layerscope.jobs.specs.curves import CURVES, checked_curve


def test_a_curve_that_no_stage_writes_is_refused_with_those_there_are():
    assert checked_curve("geometry", "min_distance_lower") == "min_distance_lower"
    with pytest.raises(ValueError, match="geometry has no curve that is called min_distance: it has clus"):
        checked_curve("geometry", "min_distance")
    with pytest.raises(ValueError, match="geometries has no curve .*: it has no curves"):
        checked_curve("geometries", "clusters")


def test_a_spread_has_the_fields_of_its_kernel():
    assert {f"{name}_L" for name in CURVES["spread"]} == set(Spread.__dataclass_fields__)
