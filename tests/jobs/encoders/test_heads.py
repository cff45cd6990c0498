import json
from itertools import product

import pytest
import torch
from transformers import MODEL_MAPPING, AutoModel

from layerscope.jobs.artifacts.tokenised import Split
from layerscope.jobs.encoders.architecture import keep_layers, takes_token_types
from layerscope.jobs.encoders.head_files import load_classifier, save_head
from layerscope.jobs.encoders.heads import Classifier, pool
from layerscope.jobs.encoders.hidden_states import pooled_layers
from layerscope.jobs.encoders.loading import load_encoder, load_pooler, save_encoder
from layerscope.jobs.encoders.windows import max_of_windows, mean_of_windows, vote_of_windows
from layerscope.jobs.specs.recipe import Training
from layerscope.jobs.text.tokenising.inputs import inputs_of
from layerscope.jobs.training.learning_rates import parameter_groups
from layerscope.jobs.training.optimisation import make_optimizer
from tests.jobs.tiny import MODELS, planted_windows, write_encoder, write_pooler

TEXTS = [[2, *range(5, 5 + length), 3] for length in (9, 1, 17, 4)]
WITH_POOLER = ["bert", "roberta", "mpnet", "albert"]
HEADS = [
    *product(MODELS, ("cls", "mean", "last"), ((1, 2),), ("concat", "mean", "max")),
    *product(WITH_POOLER, ("pooler",), ("last",), ("concat",)),
]


def split_of(texts, **columns) -> Split:
    return Split(range(len(texts)), texts, [row % 2 for row in range(len(texts))], **columns)


def encoder_of(architecture: str, **fields):
    torch.manual_seed(0)
    config = MODELS[architecture](**fields)
    # Nothing would read a pooler.
    options = {"add_pooling_layer": False} if architecture in WITH_POOLER else {}
    return MODEL_MAPPING[type(config)](config, **options)


@pytest.mark.parametrize(("architecture", "pooling", "layers", "layer_pooling"), HEADS)
def test_every_weight_of_every_head_on_every_architecture_learns(
    architecture, pooling, layers, layer_pooling
):
    model = Classifier(
        encoder_of(architecture), num_labels=2, pooling=pooling, layers=layers, layer_pooling=layer_pooling
    )
    optimizer = make_optimizer(parameter_groups(model.encoder, model.head_parts(), Training()))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    logits_BK = model(*inputs_of(split_of(TEXTS), 0))
    torch.nn.functional.cross_entropy(logits_BK, torch.tensor([0, 1, 0, 1])).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
    optimizer.step()
    assert not torch.equal(model.head.weight, before["head.weight"])
    top = next(name for name in reversed(before) if name.startswith("encoder.") and name.endswith("weight"))
    assert not torch.equal(model.state_dict()[top], before[top])


@pytest.mark.parametrize("pooling", ["cls", "mean", "last"])
@pytest.mark.parametrize("layer_pooling", ["concat", "mean", "max"])
def test_layers_are_pooled_after_their_tokens(pooling, layer_pooling):
    model = Classifier(
        encoder_of("bert", num_hidden_layers=4),
        num_labels=3,
        pooling=pooling,
        layers=(1, 3),
        layer_pooling=layer_pooling,
    ).eval()
    for text in TEXTS:
        ids_1T = torch.tensor([text])
        with torch.inference_mode():
            hidden = model.encoder(ids_1T, output_hidden_states=True).hidden_states
            vectors = [
                {"cls": state[0], "last": state[-1], "mean": state.mean(0)}[pooling]
                for (state,) in (hidden[1], hidden[3])
            ]
            match layer_pooling:
                case "concat":
                    vector = torch.cat(vectors)
                case "mean":
                    vector = sum(vectors) / 2
                case "max":
                    vector = torch.maximum(*vectors)
            found = model(ids_1T, torch.ones_like(ids_1T))[0]
            torch.testing.assert_close(found, model.head(vector))


@pytest.mark.parametrize("architecture", MODELS)
def test_a_cut_encoder_gives_the_states_of_its_lower_layers_and_is_stored_as_deep(architecture, tmp_path):
    source = write_encoder(tmp_path / "source", architecture=architecture, **more_layers(architecture))
    whole, cut = load_encoder(source), load_encoder(source)
    keep_layers(cut, 2)
    save_encoder(cut, tmp_path / "cut", tokenizer_from=source)
    again = load_encoder(tmp_path / "cut")
    assert again.config.num_hidden_layers == 2
    options = {"pooling": "mean", "pad_id": 0, "device": "cpu"}
    expected, found = (pooled_layers(encoder, TEXTS, **options) for encoder in (whole, again))
    assert (len(expected), len(found)) == (4, 3)
    for one, other in zip(found, expected, strict=False):
        torch.testing.assert_close(torch.tensor(one), torch.tensor(other))
    number = sum(parameter.numel() for parameter in again.parameters())
    fewer = number < sum(parameter.numel() for parameter in whole.parameters())
    assert fewer == (architecture != "albert")


def more_layers(architecture: str) -> dict[str, int]:
    return {"n_layers": 3} if architecture == "distilbert" else {"num_hidden_layers": 3}


def test_layers_that_are_not_there_cannot_be_kept():
    encoder = encoder_of("bert")
    for number in (0, 3):
        with pytest.raises(ValueError, match=f"{number} layers cannot be kept: BertModel has 2"):
            keep_layers(encoder, number)
    grouped = encoder_of("albert", num_hidden_layers=4, num_hidden_groups=2)
    with pytest.raises(ValueError, match="AlbertModel with 2 groups of shared layers cannot be cut"):
        keep_layers(grouped, 1)


@pytest.mark.parametrize("architecture", WITH_POOLER)
def test_the_pooler_is_the_encoders_own(architecture, tmp_path):
    folder = write_pooler(tmp_path / "encoder", architecture=architecture)
    model = Classifier(load_encoder(folder), num_labels=2, pooling="pooler").eval()
    model.pooler.load_state_dict(load_pooler(folder))
    ids_BT, mask_BT, *_ = inputs_of(split_of(TEXTS), 0)
    with torch.inference_mode():
        expected = AutoModel.from_pretrained(folder).eval()(ids_BT, attention_mask=mask_BT).pooler_output
        torch.testing.assert_close(model(ids_BT, mask_BT), model.head(expected))


@pytest.mark.parametrize("architecture", ["bert", "distilbert", "deberta-v2", "modernbert"])
def test_a_folder_without_pooler_is_refused(architecture, tmp_path):
    folder = write_encoder(tmp_path / "encoder", architecture=architecture)
    with pytest.raises(ValueError, match="has no pooler there: pool by cls, mean or last"):
        load_pooler(folder)


def test_token_types_reach_only_encoders_that_know_them():
    known = {name for name in MODELS if takes_token_types(encoder_of(name))}
    assert known == {"bert", "roberta", "electra", "albert"}
    assert not takes_token_types(encoder_of("roberta", type_vocab_size=1))


@pytest.mark.parametrize("architecture", MODELS)
def test_the_second_text_of_a_pair_is_told_from_the_first_where_the_encoder_can(architecture):
    encoder = encoder_of(architecture)
    model = Classifier(encoder, num_labels=2, pooling="mean").eval()
    types = [[0] * (len(text) // 2) + [1] * (len(text) - len(text) // 2) for text in TEXTS]
    with torch.inference_mode():
        plain, typed = (
            model(*inputs_of(split_of(TEXTS, **columns), 0)) for columns in ({}, {"type_ids": types})
        )
    options = {"pooling": "mean", "pad_id": 0, "device": "cpu"}
    layers = [pooled_layers(encoder, TEXTS, **options, type_ids=given)[-1] for given in (None, types)]
    differ = takes_token_types(encoder)
    assert torch.allclose(plain, typed) != differ
    assert torch.allclose(*map(torch.tensor, layers)) != differ


def windows_split(num_texts: int = 7) -> Split:
    columns = planted_windows(num_texts, seed=3)
    return split_of(columns["texts"], window_lengths=columns["window_lengths"])


@pytest.mark.parametrize("pooling", ["mean", "max", "attention", "logits", "vote"])
def test_windows_become_a_text_as_one_text_at_a_time(pooling):
    split = windows_split()
    model = Classifier(
        encoder_of("bert"), num_labels=3, pooling="mean", window_pooling=pooling, layers="all"
    ).eval()
    with torch.no_grad():
        model.head.weight.normal_()  # So that windows of a text disagree.
    alone = Classifier(model.encoder, num_labels=3, pooling="mean", layers="all").eval()
    alone.head = torch.nn.Identity()
    assert len({len(lengths) for lengths in split.window_lengths}) > 1
    with torch.inference_mode():
        found_BK = model(*inputs_of(split, 0))
        for row, lengths in enumerate(split.window_lengths):
            ids_WT, mask_WT, *_ = inputs_of(split.rows([row]), 0)
            vectors = torch.cat(
                [
                    alone(ids[None, :length], mask[None, :length])
                    for ids, mask, length in zip(ids_WT, mask_WT, lengths, strict=True)
                ]
            )
            torch.testing.assert_close(found_BK[row], slow_windows(model, vectors, pooling))


def slow_windows(model, vectors_WF, pooling):
    match pooling:
        case "mean":
            return model.head(vectors_WF.mean(0))
        case "max":
            return model.head(vectors_WF.max(0).values)
        case "attention":
            hidden, score = model.attention.hidden, model.attention.score
            scores = torch.stack([score(torch.tanh(hidden(vector))) for vector in vectors_WF])
            weights = scores.exp() / scores.exp().sum()
            return model.head((weights * vectors_WF).sum(0))
        case "logits":
            return model.head(vectors_WF).mean(0)
        case "vote":
            logits_WK = model.head(vectors_WF)
            votes = torch.bincount(logits_WK.argmax(1), minlength=3)
            return torch.log((votes + logits_WK.mean(0).softmax(0) / 2) / (len(logits_WK) + 0.5))


def test_the_majority_wins_and_the_mean_logits_decide_a_tie():
    sure, unsure = [9.0, 0.0, 0.0], [0.0, 0.1, 0.0]
    majority = vote_of_windows(torch.tensor([sure, unsure, unsure]), (3,))
    assert majority.argmax().item() == 1
    assert mean_of_windows(torch.tensor([sure, unsure, unsure]), (3,)).argmax().item() == 0
    tie = vote_of_windows(torch.tensor([sure, unsure]), (2,))
    assert tie.argmax().item() == 0
    torch.testing.assert_close(majority.exp().sum(), torch.tensor(1.0))


def test_a_vote_is_trained_as_mean_logits():
    inputs = inputs_of(windows_split(), 0)
    torch.manual_seed(0)
    vote, logits = (
        Classifier(
            encoder_of("bert", hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0),
            num_labels=2,
            pooling="cls",
            window_pooling=pooling,
        )
        for pooling in ("vote", "logits")
    )
    logits.load_state_dict(vote.state_dict())
    assert torch.equal(vote.train()(*inputs), logits.train()(*inputs))
    assert not torch.allclose(vote.eval()(*inputs), logits.eval()(*inputs))


def test_with_one_window_mean_max_and_logits_are_the_plain_head():
    torch.manual_seed(0)
    plain = Classifier(encoder_of("bert"), num_labels=2, pooling="cls").eval()
    single = split_of(TEXTS, window_lengths=[[len(text)] for text in TEXTS])
    with torch.inference_mode():
        expected = plain(*inputs_of(split_of(TEXTS), 0))
        for pooling in ("mean", "max", "logits"):
            model = Classifier(plain.encoder, num_labels=2, pooling="cls", window_pooling=pooling).eval()
            model.load_state_dict(plain.state_dict())
            assert torch.equal(model(*inputs_of(single, 0)), expected)


def test_the_maximum_leaves_filling_out():
    values_WF = -torch.rand(5, 3) - 1
    found = max_of_windows(values_WF, (1, 4))
    torch.testing.assert_close(found, torch.stack([values_WF[0], values_WF[1:].max(0).values]))


def test_states_of_windows_are_averaged_over_the_text():
    split, encoder = windows_split(), encoder_of("bert").eval()
    options = {"pad_id": 0, "device": "cpu", "window_lengths": split.window_lengths}
    layers = pooled_layers(encoder, split.texts, pooling="cls", batch_size=4, **options)
    for row, lengths in enumerate(split.window_lengths):
        ids_WT, mask_WT, *_ = inputs_of(split.rows([row]), 0)
        with torch.inference_mode():
            states = encoder(ids_WT, attention_mask=mask_WT, output_hidden_states=True).hidden_states
        for layer_ND, hidden_WTD in zip(layers, states, strict=True):
            slow = pool(hidden_WTD, mask_WT, "cls").sum(0) / len(lengths)
            # float32 sums over other lengths of padding.
            torch.testing.assert_close(torch.tensor(layer_ND[row]), slow, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    "head",
    [
        {"pooling": "pooler", "window_pooling": "attention"},
        {"pooling": "mean", "layers": (1, 2), "layer_pooling": "max", "window_pooling": "vote"},
        {"pooling": "cls", "layers": 1},
    ],
)
def test_a_stored_head_predicts_as_before(head, tmp_path):
    source = write_pooler(tmp_path / "source")
    torch.manual_seed(3)
    model = Classifier(load_encoder(source), num_labels=3, **head).eval()
    out = tmp_path / "out"
    save_encoder(model.encoder, out, tokenizer_from=source)
    save_head(model, out, labels=["a", "b", "c"])
    again = load_classifier(out).eval()
    split = windows_split() if "window_pooling" in head else split_of(TEXTS)
    with torch.inference_mode():
        assert torch.equal(again(*inputs_of(split, 0)), model(*inputs_of(split, 0)))
    reading = json.loads((out / "head.json").read_text())
    assert reading["labels"] == ["a", "b", "c"]
    assert reading["layers"] == ([1, 2] if head.get("layers") == (1, 2) else [model.layers[-1]])
