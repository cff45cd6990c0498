import numpy as np
import pytest
import torch
from transformers import AutoModel

from layerscope.jobs.artifacts.layers import (
    Part,
    read_layers,
    read_num_labels,
    read_num_layers,
    write_layers,
)
from layerscope.jobs.encoders.heads import Classifier, pool
from layerscope.jobs.encoders.hidden_states import pooled_layers
from layerscope.jobs.text.tokenising.batches import pad
from tests.jobs.tiny import MODELS

TEXTS = [[2, *range(5, 5 + length), 3] for length in (9, 1, 30, 4, 4, 17, 2)]
AXES = {"pad_id": 0, "device": "cpu"}
ARCHITECTURES = list(MODELS)


def encoder_of(architecture: str):
    torch.manual_seed(0)
    return AutoModel.from_config(MODELS[architecture]()).eval()


def test_the_mean_leaves_padding_out():
    hidden_BTD = torch.randn(3, 5, 4)
    mask_BT = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    slow = [
        sum(hidden_BTD[text, token] for token in range(5) if mask_BT[text, token]) / int(mask_BT[text].sum())
        for text in range(3)
    ]
    torch.testing.assert_close(pool(hidden_BTD, mask_BT, "mean"), torch.stack(slow))
    assert torch.equal(pool(hidden_BTD, mask_BT, "cls"), hidden_BTD[:, 0])


def test_the_last_token_is_the_one_before_the_padding():
    hidden_BTD = torch.randn(3, 5, 4)
    mask_BT = torch.tensor([[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 1, 1]])
    slow = torch.stack([hidden_BTD[0, 2], hidden_BTD[1, 0], hidden_BTD[2, 4]])
    assert torch.equal(pool(hidden_BTD, mask_BT, "last"), slow)


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_padding_does_not_change_logits(pooling):
    classifier = Classifier(encoder_of("bert"), num_labels=3, pooling=pooling).eval()
    alone = torch.cat([classifier(*pad([text], 0)) for text in TEXTS])
    torch.testing.assert_close(classifier(*pad(TEXTS, 0)), alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_rows_stand_in_the_order_of_the_texts_and_equal_one_text_at_a_time(architecture, pooling):
    encoder = encoder_of(architecture)
    layers = pooled_layers(encoder, TEXTS, pooling=pooling, batch_size=3, **AXES)
    assert [layer.shape for layer in layers] == [(len(TEXTS), layers[0].shape[1])] * 3
    assert {layer.dtype for layer in layers} == {np.dtype(np.float32)}
    for row, text in enumerate(TEXTS):
        alone = pooled_layers(encoder, [text], pooling=pooling, **AXES)
        for layer, one in zip(layers, alone, strict=True):
            # float32 sums over other lengths of padding.
            np.testing.assert_allclose(layer[row], one[0], atol=2e-5)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_last_layer_is_what_the_head_reads(architecture):
    encoder = encoder_of(architecture)
    last = pooled_layers(encoder, TEXTS, pooling="mean", **AXES)[-1]
    with torch.inference_mode():
        ids_BT, mask_BT = pad(TEXTS, 0)
        hidden_BTD = encoder(input_ids=ids_BT, attention_mask=mask_BT).last_hidden_state
    np.testing.assert_allclose(last, pool(hidden_BTD, mask_BT, "mean").numpy(), atol=2e-5)


@pytest.mark.parametrize("architecture", ["bert", "roberta", "distilbert", "mpnet", "deberta-v2"])
def test_layer_0_is_the_output_of_the_embeddings(architecture):
    encoder = encoder_of(architecture)
    first = pooled_layers(encoder, TEXTS[:1], pooling="mean", **AXES)[0]
    with torch.inference_mode():
        embedded_BTD = encoder.embeddings(torch.tensor(TEXTS[:1]))
    np.testing.assert_allclose(first[0], embedded_BTD[0].mean(0).numpy(), atol=1e-6)


def test_layers_come_back_from_their_files(tmp_path):
    random = np.random.default_rng(0)
    parts = {
        name: Part(
            [f"{name} {row}" for row in range(size)],
            random.integers(0, 3, size).tolist(),
            [random.normal(size=(2 * size, 4)).astype(np.float32)[::2] for _ in range(3)],
        )
        for name, size in (("train", 6), ("test", 4))
    }
    write_layers(tmp_path, parts, num_labels=3)
    for name, part in parts.items():
        found = read_layers(tmp_path, name)
        assert (found.ids, found.labels) == (part.ids, part.labels)
        assert all(np.array_equal(*pair) for pair in zip(found.layers, part.layers, strict=True))
        (last,) = read_layers(tmp_path, name, depths=[2]).layers
        assert np.array_equal(last, part.layers[2])
    assert (read_num_labels(tmp_path), read_num_layers(tmp_path)) == (3, 3)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "examples.json",
        "layer_00.safetensors",
        "layer_01.safetensors",
        "layer_02.safetensors",
    ]
