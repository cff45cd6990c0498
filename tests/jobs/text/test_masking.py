import pytest

from jobs.text.masking import pack_blocks

CLS, SEP, MASK, PAD = 2, 3, 4, 0


def test_blocks_hold_every_token_in_order():
    texts = [[CLS, *range(start, start + size), SEP] for start, size in ((10, 5), (20, 1), (30, 9), (50, 0))]
    blocks = pack_blocks(texts, block_length=7, cls_id=CLS, sep_id=SEP)
    assert all(block[0] == CLS and block[-1] == SEP for block in blocks)
    assert [len(block) for block in blocks[:-1]] == [7] * (len(blocks) - 1)
    stream = [token for block in blocks for token in block[1:-1]]
    assert stream == [*range(10, 15), SEP, 20, SEP, *range(30, 39), SEP]


def test_texts_without_their_special_tokens_are_refused():
    with pytest.raises(ValueError, match=r"begin with \[7\] and end with \[3\], not 2, 3"):
        pack_blocks([[7, SEP]], block_length=8, cls_id=CLS, sep_id=SEP)
    with pytest.raises(ValueError, match="block_length 2 leaves no room"):
        pack_blocks([[CLS, SEP]], block_length=2, cls_id=CLS, sep_id=SEP)


@pytest.fixture(scope="module")
def collator():
    """Makes a seeded collator over a vocabulary of 1,000 words, as pretraining does."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from transformers import DataCollatorForLanguageModeling, PreTrainedTokenizerFast

    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(995))]
    words = {name: number for number, name in enumerate(names)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="[UNK]")),
        **{f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")},
    )
    return lambda seed: DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15, seed=seed)


def test_the_collator_masks_15_percent_by_80_10_10_and_no_special_token(collator):
    blocks = pack_blocks([[CLS, *[7] * 59_999, SEP]] * 2, block_length=128, cls_id=CLS, sep_id=SEP)
    batch = collator(0)([{"input_ids": block} for block in blocks])
    ids_BT, chosen_BT = batch["input_ids"], batch["labels"] != -100
    assert set(batch["labels"][chosen_BT].tolist()) == {7}
    assert set(ids_BT[~chosen_BT].tolist()) == {CLS, SEP, PAD, 7}
    num_chosen = int(chosen_BT.sum())
    # Standard deviations: 124 of 120,000 draws at 15 %, then 54 at 80 % and 40 at 10 %; five to either side.
    assert abs(num_chosen - 18_000) < 620
    num_masked = int((ids_BT[chosen_BT] == MASK).sum())
    assert abs(num_masked - 0.8 * num_chosen) < 270
    assert abs(int((ids_BT[chosen_BT] == 7).sum()) - 0.1 * num_chosen) < 225


def test_masks_follow_the_seed_and_change_from_batch_to_batch(collator):
    blocks = [{"input_ids": [CLS, *range(5, 205), SEP]}]
    one, other = collator(1), collator(1)
    first, again = one(blocks)["labels"], one(blocks)["labels"]
    assert (first == other(blocks)["labels"]).all()
    assert (first != again).any()
    assert (first != collator(2)(blocks)["labels"]).any()
