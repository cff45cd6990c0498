"""The spread stage logs what the kernel measures on the test states, and nothing that is not finite."""

import numpy as np
import pytest

from layerscope.jobs.artifacts.layers import read_layers
from layerscope.jobs.kernels.similarity.isotropy_scores import measure_spread
from layerscope.jobs.measures.isotropy import stage as spread
from layerscope.jobs.measures.isotropy.specs import SpreadSpec
from tests.jobs.clouds import clouds, labels_of, write_states
from tests.jobs.tiny import curve, make_context, names_of_curves


def test_curves_are_those_of_the_kernel_on_test_states(tmp_path):
    states = clouds(tmp_path / "states", [0.0, 10.0])
    context = make_context(tmp_path, states=states)
    assert spread.run(SpreadSpec(), context) == {"layers": 2}
    test = read_layers(states, "test")
    expected = measure_spread(test.layers, test.labels)
    for name in ("effective_rank", "participation_ratio", "mean_cosine", "isoscore", "intrinsic_dimension"):
        assert list(curve(context, name).values()) == getattr(expected, f"{name}_L").tolist()
    ratio = curve(context, "between_within")
    # Around places ten times as widely spread as the points.
    assert ratio[0] < 0.2 < 20 < ratio[1]


def test_what_a_constant_layer_has_not_is_left_out(tmp_path):
    labels = {"train": labels_of(6, 2), "test": labels_of(8, 2)}
    layers = {name: [np.ones((len(of), 3), np.float32)] for name, of in labels.items()}
    context = make_context(tmp_path, states=write_states(tmp_path / "states", layers, labels))
    spread.run(SpreadSpec(), context)
    assert curve(context, "mean_cosine")[0] == pytest.approx(1)
    assert not {"effective_rank", "between_within"} & names_of_curves(context)
