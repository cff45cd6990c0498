import pytest
import torch
from transformers import AutoModelForMaskedLM, AutoModelForPreTraining

from layerscope.jobs.encoders.loading import load_encoder
from layerscope.jobs.encoders.pretraining_losses import PretrainingLosses
from tests.jobs.tiny import CONFIGS, MODELS, NO_DROPOUT, write_encoder


@pytest.mark.parametrize("architecture", MODELS)
def test_every_weight_of_a_loaded_encoder_is_used(architecture, tmp_path):
    encoder = load_encoder(write_encoder(tmp_path / "encoder", architecture=architecture))
    encoder(torch.tensor([[2, 7, 8, 9, 3]])).last_hidden_state.square().sum().backward()
    assert [name for name, parameter in encoder.named_parameters() if parameter.grad is None] == []


@pytest.mark.parametrize("architecture", CONFIGS)
def test_the_masked_loss_is_the_one_of_transformers(architecture):
    torch.manual_seed(0)
    model = AutoModelForMaskedLM.from_config(CONFIGS[architecture]()).eval()
    ids_BT = torch.randint(5, 60, (3, 9))
    mask_BT = torch.ones_like(ids_BT)
    ids_BT[1, 6:], mask_BT[1, 6:] = 0, 0
    labels_BT = torch.where(torch.rand(ids_BT.shape) < 0.4, torch.randint(5, 60, ids_BT.shape), -100)
    labels_BT[1, 6:] = -100
    batch = {"input_ids": ids_BT, "attention_mask": mask_BT, "labels": labels_BT}
    own = PretrainingLosses(model)(batch)
    whole = model(input_ids=ids_BT, attention_mask=mask_BT, labels=labels_BT).loss
    # The same sums in another order, in float32.
    assert own.item() == pytest.approx(whole.item(), abs=1e-5)
    assert list(own.shape) == [1]


def test_the_losses_of_pairs_are_those_of_transformers():
    torch.manual_seed(0)
    model = AutoModelForPreTraining.from_config(CONFIGS["bert"]()).eval()
    batch = {
        "input_ids": torch.randint(5, 60, (3, 9)),
        "attention_mask": torch.ones(3, 9, dtype=torch.long),
        "labels": torch.randint(5, 60, (3, 9)),
        "token_type_ids": torch.tensor([[0] * 4 + [1] * 5] * 3),
        "next_sentence_label": torch.tensor([0, 1, 1]),
    }
    batch["labels"][:, ::2] = -100
    own, whole = PretrainingLosses(model)(batch), model(**batch).loss
    assert list(own.shape) == [2]
    # The same sums in another order, in float32.
    assert own.sum().item() == pytest.approx(whole.item(), abs=1e-5)


def test_a_batch_in_which_nothing_is_masked_has_loss_0_and_a_gradient():
    model = PretrainingLosses(AutoModelForMaskedLM.from_config(CONFIGS["bert"](**NO_DROPOUT)))
    ids_BT = torch.randint(5, 60, (2, 6))
    mask_BT, labels_BT = torch.ones_like(ids_BT), torch.full_like(ids_BT, -100)
    loss = model({"input_ids": ids_BT, "attention_mask": mask_BT, "labels": labels_BT})[0]
    loss.backward()
    assert loss.item() == 0
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters() if p.requires_grad)
