import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from jobs.text.masking import Masker, pack_blocks
from tests.jobs.tiny import write_tokenizer

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


def make_masker(seed: int = 0) -> Masker:
    """Over a vocabulary of 1,000 words."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(995))]
    words = {name: number for number, name in enumerate(names)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="[UNK]")),
        **{f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")},
    )
    return Masker(tokenizer, masking="token", probability=0.15, seed=seed)


def test_15_percent_are_masked_by_80_10_10_and_no_special_token():
    blocks = pack_blocks([[CLS, *[7] * 59_999, SEP]] * 2, block_length=128, cls_id=CLS, sep_id=SEP)
    batch = make_masker()(blocks, batch=0)
    ids_BT, chosen_BT = batch["input_ids"], batch["labels"] != -100
    assert set(batch["labels"][chosen_BT].tolist()) == {7}
    assert set(ids_BT[~chosen_BT].tolist()) == {CLS, SEP, PAD, 7}
    assert (batch["attention_mask"].sum(1) == torch.tensor([len(block) for block in blocks])).all()
    num_chosen = int(chosen_BT.sum())
    # Standard deviations: 124 of 120,000 draws at 15 %, then 54 at 80 % and 40 at 10 %; five to either side.
    assert abs(num_chosen - 18_000) < 620
    num_masked = int((ids_BT[chosen_BT] == MASK).sum())
    assert abs(num_masked - 0.8 * num_chosen) < 270
    assert abs(int((ids_BT[chosen_BT] == 7).sum()) - 0.1 * num_chosen) < 225


def test_masks_follow_the_seed_and_the_batch_and_nothing_that_was_masked_before():
    rows = [[CLS, *range(5, 205), SEP]]
    one, other = make_masker(1), make_masker(1)
    first, second = one(rows, batch=0)["labels"], one(rows, batch=1)["labels"]
    assert (second == other(rows, batch=1)["labels"]).all()
    assert (first != second).any()
    assert (first != make_masker(2)(rows, batch=0)["labels"]).any()


def test_whole_word_masks_cover_whole_words_and_nothing_but_masks(tmp_path):
    write_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    text = "the xylophones were wonderful. quizzical zebras came again! " * 6
    encodings = [tokenizer(text), tokenizer("a short remarkable text")]
    rows = [encoding["input_ids"] for encoding in encodings]
    assert len(rows[0]) > 20 + len(set(encodings[0].word_ids()))
    masker = Masker(tokenizer, masking="word", probability=0.3, seed=0)
    num_words = num_chosen = 0
    for number in range(20):
        batch = masker(rows, batch=number)
        chosen_BT = batch["labels"] != -100
        assert set(batch["input_ids"][chosen_BT].tolist()) == {tokenizer.mask_token_id}
        for encoding, chosen_T in zip(encodings, chosen_BT.tolist(), strict=True):
            # The slow obvious version: words as the tokenizer itself told them when it cut the text.
            words = encoding.word_ids()
            for word in set(words) - {None}:
                of_word = [chosen for chosen, own in zip(chosen_T, words, strict=False) if own == word]
                assert len(set(of_word)) == 1
                num_words, num_chosen = num_words + 1, num_chosen + of_word[0]
            assert not any(chosen for chosen, own in zip(chosen_T, words, strict=False) if own is None)
    # Five standard deviations of so many draws at 30 %.
    assert abs(num_chosen / num_words - 0.3) < 5 * (0.3 * 0.7 / num_words) ** 0.5


def test_a_word_that_a_block_cuts_begins_anew(tmp_path):
    write_tokenizer(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    piece = tokenizer.convert_tokens_to_ids("##a")
    masker = Masker(tokenizer, masking="word", probability=0.999, seed=0)
    assert masker([[CLS, piece, piece, SEP]], batch=0)["labels"].tolist() == [[-100, piece, piece, -100]]
