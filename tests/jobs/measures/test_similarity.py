"""The stage of further measures: the kernels' maps, with intervals, floors and reasons."""

import dataclasses
import json

import numpy as np
import pytest

from layerscope.jobs.artifacts.layers import Part, read_layers, write_layers
from layerscope.jobs.artifacts.maps import read_similarity, read_undefined
from layerscope.jobs.kernels.similarity.cka import cka_floor, cka_map
from layerscope.jobs.kernels.similarity.cka_errors import cka_standard_errors
from layerscope.jobs.kernels.similarity.cka_minibatch import minibatch_cka
from layerscope.jobs.kernels.similarity.leverage import cka_without_leverage
from layerscope.jobs.kernels.similarity.similarity_measures import similarity_map
from layerscope.jobs.measures.similarity import further_stage as similarity
from layerscope.jobs.measures.similarity.specs import SimilaritySpec
from tests.jobs.test_layer_stages import states_of
from tests.jobs.tiny import curve, make_context, names_of_curves, write_rows

MAPS = {
    "cka": cka_map,
    "biased_cka": lambda a, b: cka_map(a, b, debiased=False),
    "rbf": lambda a, b: cka_map(a, b, kernel="rbf"),
    "leverage": cka_without_leverage,
    "procrustes": lambda a, b: similarity_map(a, b, "procrustes"),
    "svcca": lambda a, b: similarity_map(a, b, "svcca"),
    "pwcca": lambda a, b: similarity_map(a, b, "pwcca"),
    "rsa": lambda a, b: similarity_map(a, b, "rsa"),
    "mutual_knn": lambda a, b: similarity_map(a, b, "mutual_knn"),
    "minibatch_cka": lambda a, b: minibatch_cka(a, b, batch_size=64).similarity,
}


def ran(folder, measure, states, other=None, **inputs):
    others = {} if other is None else {"other": other}
    context = make_context(folder / measure, states=states, **others, **inputs)
    against = "itself" if other is None else "other"
    return similarity.run(SimilaritySpec(measure=measure, against=against), context), context


def related_states(folder):
    """Two models of which each layer of the second is that of the first with noise."""
    states = states_of(folder / "states")
    parts = {name: read_layers(states, name) for name in ("train", "test")}
    random = np.random.default_rng(5)
    noisy = {
        name: dataclasses.replace(
            part,
            layers=[layer + random.normal(size=layer.shape).astype(np.float32) for layer in part.layers],
        )
        for name, part in parts.items()
    }
    (folder / "other").mkdir()
    write_layers(folder / "other", noisy, num_labels=2)
    return states, folder / "other"


@pytest.mark.parametrize("measure", MAPS)
def test_each_measure_writes_the_map_of_its_kernel_and_logs_its_diagonal(tmp_path, measure):
    states, other = related_states(tmp_path)
    layers, others = (read_layers(folder, "test").layers for folder in (states, other))
    metrics, context = ran(tmp_path, measure, states, other)
    similarity_LL = read_similarity(context.out)
    np.testing.assert_array_equal(similarity_LL, MAPS[measure](layers, others))
    assert curve(context, "same_layer") == dict(enumerate(similarity_LL.diagonal()))
    assert metrics["mean_same_layer"] == pytest.approx(similarity_LL.diagonal().mean())
    _, context = ran(tmp_path / "within", measure, states)
    similarity_LL = read_similarity(context.out)
    np.testing.assert_array_equal(similarity_LL, MAPS[measure](layers, None))
    assert curve(context, "next_layer") == dict(enumerate(similarity_LL.diagonal(1)))


def test_cka_has_its_interval_over_the_choice_of_examples(tmp_path):
    states, other = related_states(tmp_path)
    layers, others = (read_layers(folder, "test").layers for folder in (states, other))
    metrics, context = ran(tmp_path, "cka", states, other)
    values, errors = cka_map(layers, others).diagonal(), cka_standard_errors(layers, others).diagonal()
    np.testing.assert_array_equal(
        np.load(context.out / "standard_errors.npy"), cka_standard_errors(layers, others)
    )
    low, high = (curve(context, f"same_layer/{end}") for end in ("low", "high"))
    np.testing.assert_allclose(list(low.values()), values - 1.96 * errors, atol=1e-4)
    np.testing.assert_allclose(list(high.values()), np.minimum(values + 1.96 * errors, 1), atol=1e-4)
    assert all(low[layer] < values[layer] < high[layer] for layer in range(3))
    assert list(metrics) == ["mean_same_layer"]


@pytest.mark.parametrize("measure", ["rbf", "rsa", "leverage", "mutual_knn"])
def test_halves_of_the_examples_give_an_interval_where_there_is_no_formula(tmp_path, measure):
    states, other = related_states(tmp_path)
    for sides, name in (((states, other), "same_layer"), ((states,), "next_layer")):
        _, context = ran(tmp_path / name, measure, *sides)
        values, low, high = (curve(context, f"{name}{end}") for end in ("", "/low", "/high"))
        assert list(low) == list(high) == list(values)
        assert all(low[layer] < value < high[layer] for layer, value in values.items())


@pytest.mark.parametrize("measure", ["biased_cka", "procrustes"])
def test_formulas_give_errors_of_all_cells_and_intervals(tmp_path, measure):
    states, other = related_states(tmp_path)
    _, context = ran(tmp_path, measure, states, other)
    errors = np.load(context.out / "standard_errors.npy").diagonal()
    values, low, high = (list(curve(context, f"same_layer{end}").values()) for end in ("", "/low", "/high"))
    np.testing.assert_allclose(low, values - 1.959964 * errors)
    np.testing.assert_allclose(high, np.minimum(values + 1.959964 * errors, 1))
    assert (errors > 0).all()


@pytest.mark.parametrize("measure", ["svcca", "pwcca"])
def test_canonical_correlations_have_no_interval(tmp_path, measure):
    _, context = ran(tmp_path, measure, *related_states(tmp_path))
    assert curve(context, "same_layer") and "same_layer/low" not in names_of_curves(context)


def test_batches_have_bounds_of_all_cells_and_a_single_batch_has_none(tmp_path):
    states, other = related_states(tmp_path)
    layers, others = (read_layers(folder, "test").layers for folder in (states, other))
    context = make_context(tmp_path / "batches", states=states, other=other)
    similarity.run(SimilaritySpec(measure="minibatch_cka", against="other", batch_size=8), context)
    expected = minibatch_cka(layers, others, batch_size=8)
    for end, bounds in (("low", expected.low), ("high", expected.high)):
        np.testing.assert_array_equal(np.load(context.out / f"{end}.npy"), bounds)
        assert curve(context, f"same_layer/{end}") == dict(enumerate(bounds.diagonal()))
    _, context = ran(tmp_path, "minibatch_cka", states, other)
    assert curve(context, "same_layer") and "same_layer/low" not in names_of_curves(context)


def test_intervals_from_halves_are_about_as_wide_as_those_of_the_formula(tmp_path):
    states, other = related_states(tmp_path)
    wide = {}
    for measure in ("cka", "leverage"):
        _, context = ran(tmp_path, measure, states, other)
        low, high = (curve(context, f"same_layer/{end}") for end in ("low", "high"))
        wide[measure] = np.mean([high[layer] - low[layer] for layer in low])
    # Without the one most distant of 40 examples little changes; a deviation over 20 halves errs by 16 %.
    assert wide["leverage"] == pytest.approx(wide["cka"], rel=0.4)


def test_biased_cka_of_unrelated_layers_is_no_more_than_its_floor(tmp_path):
    states, other = states_of(tmp_path / "states"), states_of(tmp_path / "other", seed=1)
    metrics, context = ran(tmp_path, "biased_cka", states, other)
    layers, others = (read_layers(folder, "test").layers for folder in (states, other))
    np.testing.assert_array_equal(np.load(context.out / "floor.npy"), cka_floor(layers, others))
    assert curve(context, "floor") == dict(enumerate(cka_floor(layers, others).diagonal()))
    # Unrelated layers of 40 examples and 8 features have about 0.17 by chance alone.
    assert metrics["mean_same_layer"] == pytest.approx(metrics["mean_floor"], abs=0.08)
    assert metrics["mean_floor"] > 0.1


@pytest.mark.parametrize("measure", ["biased_cka", "procrustes", "mutual_knn", "cka", "rsa"])
def test_intervals_of_unrelated_layers_stay_inside_the_scale(tmp_path, measure):
    states, other = states_of(tmp_path / "states"), states_of(tmp_path / "other", seed=1)
    _, context = ran(tmp_path, measure, states, other)
    value, low, high = (curve(context, f"same_layer{end}") for end in ("", "/low", "/high"))
    least = -1 if measure in ("cka", "rsa") else 0
    assert low and all(least <= low[layer] <= value[layer] <= high[layer] <= 1 for layer in low)


def test_leverage_tells_that_one_example_hides_the_similarity(tmp_path):
    states, other = related_states(tmp_path)
    before, _ = ran(tmp_path / "before", "cka", states, other)
    parts = {name: read_layers(other, name) for name in ("train", "test")}
    for layer in parts["test"].layers:
        layer[7] += 100
    write_layers(other, parts, num_labels=2)
    with_it, _ = ran(tmp_path, "cka", states, other)
    without, context = ran(tmp_path, "leverage", states, other)
    assert abs(with_it["mean_same_layer"]) < 0.2 < 0.4 < before["mean_same_layer"]
    assert without["mean_same_layer"] == pytest.approx(before["mean_same_layer"], abs=0.05)
    assert max(curve(context, "largest_row").values()) < 0.2
    _, context = ran(tmp_path / "turned", "leverage", other, states)
    assert min(curve(context, "largest_row").values()) > 0.9
    assert list(curve(context, "top_percent")) == [0, 1, 2]


def test_what_layers_share_with_the_words_of_the_texts_is_taken_out(tmp_path):
    random = np.random.default_rng(0)
    num_texts, num_words, width = 120, 30, 600
    texts = random.integers(5, 5 + num_words, size=(3 * num_texts, 12)).tolist()
    data = write_rows(
        tmp_path / "task", texts, [row % 2 for row in range(len(texts))], num_held_out=num_texts
    )
    ids = [str(row) for row in range(2 * num_texts, 3 * num_texts)]
    counts = similarity.word_counts(data, ids[::-1])[::-1]
    assert counts.shape == (num_texts, num_words) and (counts.sum(axis=1) == 12).all()
    beyond = 8 * random.normal(size=(num_texts, 1))
    for name, extra in (("states", 0), ("other", 0), ("states with", beyond), ("other with", beyond)):
        layer = counts @ random.normal(size=(num_words, width)) + extra
        part = Part(ids, [0] * num_texts, [layer.astype(np.float32)])
        (tmp_path / name).mkdir()
        write_layers(tmp_path / name, {"train": part, "test": part}, num_labels=2)

    def found(measure, suffix):
        sides = (tmp_path / f"{side}{suffix}" for side in ("states", "other"))
        metrics, _ = ran(tmp_path / f"ran{suffix}", measure, *sides, data=data)
        return metrics["mean_same_layer"]

    assert found("cka", "") > 0.8 and abs(found("partial_cka", "")) < 0.15
    assert found("cka", " with") > 0.8 and found("partial_cka", " with") > 0.8


@pytest.mark.parametrize("measure", ["cka", "rbf", "procrustes"])
def test_a_layer_that_is_the_same_for_all_texts_is_undefined_and_says_why(tmp_path, measure):
    states, other = related_states(tmp_path)
    parts = {name: read_layers(states, name) for name in ("train", "test")}
    for part in parts.values():
        part.layers[0][:] = 1.5
    write_layers(states, parts, num_labels=2)
    _, context = ran(tmp_path, measure, states, other)
    assert read_undefined(context.out) == {"layer 0": "layer 0 is the same for all 40 examples"}
    assert list(curve(context, "same_layer")) == [1, 2]
    _, context = ran(tmp_path / "turned", measure, other, states)
    assert list(read_undefined(context.out)) == ["layer 0 of the other"]
    _, context = ran(tmp_path / "within", measure, other)
    assert not (context.out / "undefined.json").exists()


def test_other_examples_are_refused(tmp_path):
    states, other = related_states(tmp_path)
    examples = json.loads((other / "examples.json").read_text())
    examples["parts"]["test"]["ids"].reverse()
    (other / "examples.json").write_text(json.dumps(examples))
    with pytest.raises(ValueError, match="not the same examples in the same order"):
        ran(tmp_path, "rbf", states, other)
