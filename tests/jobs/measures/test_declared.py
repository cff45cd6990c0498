"""What measures declare: roles that are written and read back, curves, and where their stages are."""

from importlib import import_module

import pytest

from layerscope.jobs.context import StageContext
from layerscope.jobs.kernels.similarity.isotropy_scores import Spread
from layerscope.jobs.measures import MEASURES, curves_of, module_of
from layerscope.jobs.specs.roles import RANDOM, START, Role


@pytest.mark.parametrize(
    ("text", "role"),
    [
        ("probe", Role("probe")),
        ("probe/start", Role("probe", model=START)),
        ("probe/pos/random", Role("probe", "pos", RANDOM)),
        ("geometry/at-0.5", Role("geometry", model="at-0.5")),
        ("cka/within/start", Role("cka", "within", START)),
        ("similarity/rbf/within", Role("similarity", "rbf/within")),
    ],
)
def test_a_role_is_written_and_read_back(text, role):
    assert str(role) == text
    assert Role.parse(text) == role


def test_a_curve_that_is_not_declared_is_refused_with_those_there_are():
    geometry = MEASURES["geometry"]
    assert geometry.curve("linear").scale == (0, 1)
    with pytest.raises(ValueError, match="geometry has no curve min_distance: it has clus"):
        geometry.curve("min_distance")
    with pytest.raises(ValueError, match="blocks has no curve .*: it has no curves"):
        MEASURES["blocks"].curve("clusters")


def test_a_stage_cannot_log_what_its_measure_does_not_declare(tmp_path):
    context = StageContext({}, tmp_path, tmp_path, curves=curves_of("spread"))
    context.log(0, isoscore=0.5)
    with pytest.raises(ValueError, match="^iso: no curve that the measure declares"):
        context.log(1, isoscore=0.5, iso=0.5)


def test_names_are_those_of_the_dict():
    assert {name: measure.name for name, measure in MEASURES.items()} == {name: name for name in MEASURES}


def test_every_kind_of_stage_has_a_module_that_runs():
    kinds = [kind for measure in MEASURES.values() for kind in measure.modules]
    assert len(kinds) > 10
    for kind in [*kinds, "prepare", "text_states"]:
        assert callable(import_module(module_of(kind)).run)
    assert curves_of("prepare") is None


def test_a_spread_has_the_fields_of_its_kernel():
    assert {f"{name}_L" for name in MEASURES["spread"].curves} == set(Spread.__dataclass_fields__)
