import os
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from tokenizers.models import BPE

from layerscope.jobs.text.tokenising.tokenizer import load_tokenizer
from layerscope.jobs.text.tokenising.word_marks import continuing_tokens

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[4] / "../shared")).resolve()


@pytest.mark.parametrize("name", ["bert-base-uncased", "roberta-base", "albert-base-v2", "babyberta"])
def test_words_are_those_that_white_space_parts_in_every_kind_of_tokenizer(name):
    folder = SHARED / "models" / f"tokenizer-{name}"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not here: set LAYERSCOPE_SHARED to the folder of shared data")
    tokenizer = load_tokenizer(folder)
    continues = continuing_tokens(tokenizer)
    words = ["unbelievable", "xylophones", "outperform", "antediluvian", "quizzes"]
    ids = tokenizer.encode(" ".join(words), add_special_tokens=False).ids
    assert len(ids) > len(words)
    assert sum(not continues[token] for token in ids[1:]) == len(words) - 1


def test_a_tokenizer_that_marks_no_words_is_refused():
    with pytest.raises(ValueError, match="no token of this BPE tokenizer says where a word begins"):
        continuing_tokens(Tokenizer(BPE({"a": 0, "b": 1}, [])))
