"""Joint training and heads on frozen features in a gang of two real processes."""

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from layerscope.jobs import feature_head, features, multitask
from layerscope.jobs.context import LOG
from layerscope.jobs.specs.features import FeaturesSpec
from tests.jobs.test_features import head_spec
from tests.jobs.test_multitask import ends, spec_of
from tests.jobs.tiny import NO_DROPOUT, make_context, planted, write_encoder, write_rows
from tests.jobs.two_processes import METRICS, Case, train_together

pytestmark = pytest.mark.slow

CLOCK = {"train/seconds", "train/examples_per_second", "train/micro_batch_size"}
STAGES = {
    "multitask": multitask,
    "multitask-parts": multitask,
    "multitask-crowded": multitask,
    "linear": feature_head,
    "bilstm": feature_head,
}

RESUMED = ("multitask", "linear", "bilstm")


@pytest.fixture(scope="module")
def cases(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    encoder = write_encoder(folder / "encoder", **NO_DROPOUT)
    where = write_rows(folder / "where", *planted(121), num_held_out=40)
    other = write_rows(folder / "ends", *ends(61), num_held_out=20)
    context = make_context(folder / "features", encoder=encoder, data=where)
    features.run(FeaturesSpec(encoder="tiny", layers=(1, 2)), context)
    # 41 and 21 training rows in batches of 5: the last batch of a pass has one row for two processes.
    joint = spec_of(epochs=None, steps=24, batch_size=5, learning_rate=1e-3, sampling="uniform")
    frozen = {"features": context.out, "data": where}
    recipe = {"epochs": 2, "batch_size": 5, "learning_rate": 3e-3}
    joined = {"encoder": encoder, "data/where": where, "data/ends": other}
    undisturbed = {
        "multitask": Case(joint, joined),
        "multitask-parts": Case(joint, joined, micro_batch_size=2),
        "multitask-crowded": Case(joint, joined, harm="crowd"),
        "linear": Case(head_spec(**recipe), frozen),
        "bilstm": Case(head_spec(head="bilstm", train_size=31, **recipe), frozen),
    }
    interrupted = {f"{name}-interrupted": replace(undisturbed[name], harm="interrupt") for name in RESUMED}
    return undisturbed | interrupted


@pytest.fixture(scope="module")
def gang(cases, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gang")
    train_together(cases, folder)
    return folder


def weights_of(out) -> dict[str, torch.Tensor]:
    names = ("model.safetensors", "heads.safetensors", "head.safetensors")
    return {
        f"{name}: {weight}": value
        for name in names
        if (out / name).exists()
        for weight, value in load_file(out / name).items()
    }


@pytest.mark.parametrize("name", RESUMED)
def test_a_gang_resumes_where_it_was_interrupted(gang, name):
    undisturbed, resumed = (weights_of(gang / one / "out") for one in (name, f"{name}-interrupted"))
    assert undisturbed.keys() == resumed.keys()
    assert all(torch.equal(value, resumed[weight]) for weight, value in undisturbed.items())
    for rank in "01":
        metrics = (torch.load(gang / one / rank / METRICS) for one in (name, f"{name}-interrupted"))
        first, second = map(without_clock, metrics)
        assert first == second


def test_tasks_are_trained_in_parts_that_fit_into_the_memory_of_all(gang):
    sizes = {
        name: [torch.load(gang / name / rank / METRICS)["train/micro_batch_size"] for rank in "01"]
        for name in ("multitask", "multitask-parts", "multitask-crowded")
    }
    assert sizes == {"multitask": [3, 3], "multitask-parts": [2, 2], "multitask-crowded": [1, 1]}
    assert "with 3 examples at a time" in (gang / "multitask-crowded" / "scratch" / LOG).read_text()


def without_clock(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name not in CLOCK}


@pytest.mark.parametrize("name", STAGES)
def test_both_processes_have_the_same_scores(gang, name):
    first, second = (without_clock(torch.load(gang / name / rank / METRICS)) for rank in "01")
    assert first == second


@pytest.mark.parametrize("name", STAGES)
def test_two_processes_train_as_one_does(gang, cases, name, tmp_path):
    case = cases[name]
    context = make_context(tmp_path, train=True, **case.inputs)
    metrics = STAGES[name].run(case.spec, context)
    together, alone = weights_of(gang / name / "out"), weights_of(context.out)
    assert set(together) == set(alone)
    for weight, value in alone.items():
        # The gradient of a key's bias is rounding error, which Adam makes steps of.
        if not weight.endswith("key.bias"):
            # Sums in another order, in float32; weighing a batch wrongly moves weights by 1e-4 and more.
            torch.testing.assert_close(together[weight], value, atol=1e-5, rtol=0)
    found = torch.load(gang / name / "0" / METRICS)
    assert without_clock(found) == pytest.approx(without_clock(metrics), abs=1e-3)
