import pytest
import torch
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, DataCollatorForLanguageModeling, PreTrainedTokenizerFast

from layerscope.jobs.text.pretraining.masking import Masker, pack_blocks, stream_seed
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


def make_tokenizer() -> PreTrainedTokenizerFast:
    """Of a vocabulary of 1,000 words."""
    names = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{number}" for number in range(995))]
    words = {name: number for number, name in enumerate(names)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(words, unk_token="[UNK]")),
        **{f"{role}_token": f"[{role.upper()}]" for role in ("pad", "unk", "cls", "sep", "mask")},
    )


def make_masker(seed: int = 0) -> Masker:
    return Masker(make_tokenizer(), masking="token", probability=0.15, seed=seed)


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


def as_transformers_masks(rows, *, batch: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Masked ids and labels by the collator of transformers, over rows of one length."""
    collator = DataCollatorForLanguageModeling(make_tokenizer(), mlm_probability=0.15)
    collator.generator = torch.Generator().manual_seed(stream_seed(seed, batch))
    ids_BT = torch.tensor(rows)
    return collator.torch_mask_tokens(ids_BT, special_tokens_mask=ids_BT < 5)


def test_single_tokens_are_masked_as_transformers_masks_them():
    rows = [[CLS, *range(5 + row, 995, 10), SEP] for row in range(8)]
    for number in range(3):
        ids_BT, labels_BT = as_transformers_masks(rows, batch=number, seed=1)
        batch = make_masker(1)(rows, batch=number)
        assert batch["input_ids"].equal(ids_BT)
        assert batch["labels"].equal(labels_BT)
        assert batch["input_ids"][labels_BT != -100].unique().numel() > 10


def test_a_tokenizer_without_a_mask_is_refused():
    tokenizer = make_tokenizer()
    tokenizer.mask_token = None
    with pytest.raises(ValueError, match="the tokenizer has no mask token"):
        Masker(tokenizer, masking="token", probability=0.15, seed=0)


@pytest.fixture
def letters(tmp_path):
    """A tokenizer that takes rare words for their letters."""
    write_tokenizer(tmp_path)
    return AutoTokenizer.from_pretrained(tmp_path)


def test_whole_words_are_chosen_or_none_of_their_tokens(letters):
    text = "the xylophones were wonderful. quizzical zebras came again! " * 6
    encodings = [letters(text), letters("a short remarkable text")]
    rows = [encoding["input_ids"] for encoding in encodings]
    assert len(rows[0]) > 20 + len(set(encodings[0].word_ids()))
    masker = Masker(letters, masking="word", probability=0.3, seed=0)
    num_words = num_chosen = 0
    for number in range(20):
        chosen_BT = masker(rows, batch=number)["labels"] != -100
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


def test_each_token_of_a_chosen_word_is_replaced_by_a_draw_of_its_own(letters):
    ids = letters("xylophones", add_special_tokens=False)["input_ids"]
    assert len(ids) == 10
    rows = [[CLS, *ids * 12, SEP]] * 100
    batch = Masker(letters, masking="word", probability=0.5, seed=0)(rows, batch=0)
    ids_BT, chosen_BT = batch["input_ids"], batch["labels"] != -100
    assert batch["labels"][chosen_BT].equal(torch.tensor(rows)[chosen_BT])
    assert ids_BT[~chosen_BT].equal(torch.tensor(rows)[~chosen_BT])
    num_chosen = int(chosen_BT.sum())
    masked_BT, kept_BT = ids_BT == MASK, ids_BT == torch.tensor(rows)
    # Five standard deviations of about 6,000 draws: 2.6 % at 80 % and 1.9 % at 10 %. A random token is the
    # one that stood there, or the mask, once in 150 times.
    assert abs(int((masked_BT & chosen_BT).sum()) / num_chosen - 0.8) < 0.03
    assert abs(int((kept_BT & chosen_BT).sum()) / num_chosen - 0.1) < 0.025
    assert len(ids_BT[chosen_BT & ~masked_BT & ~kept_BT].unique()) > 200
    # All ten tokens of a word are masked once in 9.3 times: five standard deviations of 600 words are 6.4 %.
    words_W10 = masked_BT[:, 1:-1].reshape(-1, 10)[chosen_BT[:, 1:-1].reshape(-1, 10)[:, 0]]
    assert abs(words_W10.all(1).float().mean().item() - 0.8**10) < 0.065


def test_a_word_that_a_block_cuts_begins_anew(letters):
    piece = letters.convert_tokens_to_ids("##a")
    masker = Masker(letters, masking="word", probability=0.999, seed=0)
    assert masker([[CLS, piece, piece, SEP]], batch=0)["labels"].tolist() == [[-100, piece, piece, -100]]
