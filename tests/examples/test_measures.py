"""Measures of examples/: each runs as a plug-in from plan to report, and finds what is planted."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from layerscope.jobs.artifacts.record import read_metrics
from layerscope.jobs.measures.plugin import stage
from layerscope.jobs.measures.plugin.loading import declared, load
from layerscope.jobs.measures.plugin.specs import PluginSpec
from layerscope.jobs.report.subjects import roles_of
from layerscope.jobs.report.tidy_table import tidy_rows
from layerscope.jobs.specs.faults import Fault
from layerscope.jobs.study_report import render_report, study_figures
from layerscope.jobs.user_code import Source, digest_of
from layerscope.orchestrator.errors import ConfigurationError
from layerscope.orchestrator.execution.serial import run_serially
from layerscope.orchestrator.planning.sources import measure_plugins as plugins
from layerscope.orchestrator.tracking.pages import study_pages
from layerscope.orchestrator.workspace import open_workspace
from tests.jobs.clouds import clouds
from tests.jobs.tiny import curve, make_context
from tests.tiny import write_experiment

EXAMPLES = Path(__file__).parents[2] / "examples" / "measures"
PATHS = sorted(EXAMPLES.glob("*.py"))
NOTHING = {"probe": False, "cka": False, "depth": False}


def measured(folder, path, **inputs):
    context = make_context(folder, source=path, **inputs)
    metrics = stage.run(PluginSpec(name=path.stem, source=digest_of(path)), context)
    return metrics, context


def test_there_are_three():
    assert [path.stem for path in PATHS] == ["nearest_neighbours", "rankme", "silhouette"]
    assert all(len(path.read_text().splitlines()) <= 30 for path in PATHS)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
def test_layers_in_which_labels_are_apart_are_told_from_others(tmp_path, path):
    metrics, context = measured(tmp_path, path, states=clouds(tmp_path / "states", [0.0, 10.0]))
    assert metrics == {"layers": 2}
    (name,) = load(Source(path)).curves
    mixed, apart = curve(context, name).values()
    if path.stem == "rankme":  # Places far apart take most of the variance.
        assert 1 <= apart < mixed
    else:
        assert mixed < 0.6 < apart


def test_rank_me_of_equal_singular_values_is_their_number():
    specification = importlib.util.spec_from_file_location("rankme", EXAMPLES / "rankme.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    assert module.rank_me(np.eye(7, dtype=np.float32)) == pytest.approx(7, rel=1e-4)


def test_plug_ins_are_shown_like_built_in_measures_and_an_edit_runs_them_alone(tmp_path, tiny_encoder):
    mine = tmp_path / "rankme.py"
    mine.write_bytes((EXAMPLES / "rankme.py").read_bytes())
    paths = [str(mine), str(EXAMPLES / "silhouette.py")]
    path = write_experiment(tmp_path / "tiny.yaml", tiny_encoder, measures=NOTHING | {"plugins": paths})

    def run():
        workspace = open_workspace(path, store=tmp_path / "runs")
        workspace.store.create()
        schedule = workspace.schedule()
        todo = [one for one in schedule.plan.stages().values() if not workspace.store.has(one)]
        run_serially(schedule)
        computed = [one for one in todo if workspace.store.has(one)]
        return (
            workspace.study(schedule),
            [one.spec.name for one in computed if one.kind == "plugin"],
            computed,
        )

    study, names, _ = run()
    assert sorted(set(names)) == ["rankme", "silhouette"]
    (variant,) = study.variants
    roles = [str(role) for role in roles_of([variant])]
    assert roles == ["rankme", "rankme/start", "silhouette", "silhouette/start"]
    assert read_metrics(variant.folders["rankme"]) == {"layers": 3}
    assert {"rankme/topic/rankme", "silhouette/topic/silhouette"} <= study_figures(study).keys()
    page = render_report(study)
    assert "RankMe of the hidden states" in page and "Silhouette of the labels" in page
    rows = {(row.measure, row.metric, row.layer) for row in tidy_rows(study)}
    assert {("rankme", "rankme", layer) for layer in range(3)} <= rows
    shown = study_pages(study, study_key="study", live=False)
    assert "rankme/rankme" in {
        point.metric for one in shown if one.level == "variant" for point in one.points
    }

    mine.write_text(mine.read_text() + "\n# edited\n")
    _, names, computed = run()
    assert set(names) == {"rankme"} and len(computed) == len(names) == 2


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("MEASURE = 1", "mine.py: defines no MEASURE: end it with MEASURE = LayerMeasure"),
        ("x = 1\n1 / 0", "mine.py:2: ZeroDivisionError"),
        ("def f(:", "mine.py:1: SyntaxError"),
        ("import no_such_package", "mine.py:1: ModuleNotFoundError: No module named 'no_such_package'"),
        (
            "from layerscope import LayerMeasure\nMEASURE = LayerMeasure('A', print, {})",
            "mine.py: MEASURE declares no curves",
        ),
    ],
)
def test_a_file_that_defines_no_measure_is_refused_with_its_line(tmp_path, code, told):
    path = tmp_path / "mine.py"
    path.write_text(code)
    with pytest.raises(ValueError, match="mine.py") as refused:
        declared(str(path), None)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("./nowhere.py", "there is no file .*nowhere.py"),
        ("nobody", "no installed package has a measure 'nobody' .*a file is written as ./nobody.py"),
        ("./my-own.py", "'my-own' cannot be the name of a measure"),
        ("./probe.py", "'probe' cannot be the name of a measure: .*not that of a measure or a section"),
        ("./maps.py", "'maps' cannot be the name of a measure"),
    ],
)
def test_what_cannot_be_found_or_named_is_refused_at_its_line(
    tmp_path, tiny_encoder, monkeypatch, written, told
):
    monkeypatch.chdir(tmp_path)
    for name in ("my-own.py", "probe.py", "maps.py"):
        (tmp_path / name).write_text("")
    path = write_experiment(tmp_path / "tiny.yaml", tiny_encoder, measures={"plugins": [written]})
    with pytest.raises(ConfigurationError, match=rf"tiny.yaml:\d+:\d+: measures.plugins.0: {told}"):
        open_workspace(path, store=tmp_path / "runs")


@pytest.mark.parametrize(
    ("returned", "told"),
    [
        ("{'b': [1.0, 2.0]}", "returned ['b'], not a dict with the curves ['a']"),
        ("{'a': [1.0]}", "a has the shape (1,) instead of one value for each of the 2 layers"),
        ("None", "returned NoneType, not a dict"),
        ("1 / 0", "mine.py:2: ZeroDivisionError: division by zero"),
    ],
)
def test_what_is_no_value_for_each_layer_fails_in_words(tmp_path, returned, told):
    path = tmp_path / "mine.py"
    path.write_text(
        "from layerscope import Curve, LayerMeasure\n"
        f"MEASURE = LayerMeasure('A', lambda layers, labels: {returned}, {{'a': Curve()}})\n"
    )
    with pytest.raises(ValueError, match="mine.py") as refused:
        measured(tmp_path, path, states=clouds(tmp_path / "states", [0.0, 10.0]))
    assert told in str(refused.value)


def test_a_file_that_changed_since_the_plan_is_not_run(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("raise SystemExit")
    context = make_context(tmp_path, source=path)
    with pytest.raises(ValueError, match="mine.py has changed since the run was planned"):
        stage.run(PluginSpec(name="mine", source="0" * 64), context)


def test_an_entry_point_of_a_module_without_a_file_is_refused(tmp_path, monkeypatch):
    about = tmp_path / "odd-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[layerscope.measures]\nbuilt_in = sys:MEASURE\nlost = no_such_module:MEASURE\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    faults: list[Fault] = []
    assert plugins.plugins_of(["built_in", "lost"], faults) == {}
    assert [fault.message for fault in faults] == [
        "the entry point 'built_in': the module sys is no Python file",
        "the entry point 'lost': there is no installed module no_such_module",
    ]


def test_an_entry_point_of_an_installed_package_is_a_plug_in(tmp_path, monkeypatch):
    (tmp_path / "their_package").mkdir()
    (tmp_path / "their_package" / "__init__.py").write_text("")
    (tmp_path / "their_package" / "rank.py").write_bytes((EXAMPLES / "rankme.py").read_bytes())
    about = tmp_path / "their_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: their-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text("[layerscope.measures]\ntheirs = their_package.rank:MEASURE\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    faults: list[Fault] = []
    found = plugins.plugins_of(["theirs"], faults)
    assert faults == [] and found["theirs"].title == "RankMe"
    assert found["theirs"].drawn == {"rankme": "RankMe of the hidden states"}
