"""A folder's tokenizer is read as `AutoTokenizer` reads it, whatever its files, or refused in words."""

import importlib
import io
import json
import sys
from base64 import b64encode
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers
from transformers import AutoTokenizer, PreTrainedTokenizerFast
from transformers.models.auto.tokenization_auto import TOKENIZER_MAPPING_NAMES, tokenizer_class_from_name

from layerscope.jobs import user_cache
from layerscope.jobs.text.tokenising.auto_tokenizer import REASONS, auto_tokenizer
from layerscope.jobs.text.tokenising.tokenizer import (
    LIBRARIES,
    TOKENIZER_FILES,
    is_kept,
    load_tokenizer,
    tokenizer_digest,
    tokenizer_files,
)

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = ["the", "red", "Red", "house", "is", "##s", "a", "cafe", "café", "!", "ticket"]
TEXTS = [
    "The red houses",
    "Red CAFÉ café",
    "<ticket> covfefe is a ticket",
    "[MASK] [SEP] the </s>",
    "猫 is\x00 a\u200b house!",
    "",
]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def settings(folder, **fields):
    path = folder / "tokenizer_config.json"
    path.write_text(json.dumps(fields), encoding="utf-8")
    return folder


def vocabulary(folder, words=(*SPECIAL, *WORDS)):
    (folder / "vocab.txt").write_text("\n".join(words) + "\n", encoding="utf-8")
    return folder


def config(folder, **fields):
    (folder / "config.json").write_text(json.dumps(fields), encoding="utf-8")
    return folder


def whole(folder, *, lowercase=True):
    """A tokenizer.json of a WordPiece without special tokens around texts."""
    model = models.WordPiece(
        {word: place for place, word in enumerate([*SPECIAL, *WORDS])}, unk_token="[UNK]"
    )
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=lowercase)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.save(str(folder / "tokenizer.json"))
    return folder


def bytes_of_gpt2(folder):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: place for place, letter in enumerate([*letters, "th", "the", "Ġthe", "<s>", "</s>"])}
    (folder / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\nt h\nth e\nĠ the\n", encoding="utf-8")
    return folder


def pieces(path, *, kind, **options):
    """A SentencePiece model that is trained on the spot."""
    from sentencepiece import SentencePieceTrainer

    written = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter([*TEXTS[:5], "the houses of the red ticket"] * 20),
        model_writer=written,
        vocab_size=60 if kind == "unigram" else 320,
        model_type=kind,
        hard_vocab_limit=False,
        minloglevel=2,
        **options,
    )
    path.write_bytes(written.getvalue())


def added_by_an_old_version(folder):
    vocabulary(settings(folder, tokenizer_class="BertTokenizer", do_lower_case=True))
    (folder / "added_tokens.json").write_text(json.dumps({"<ticket>": 16, "covfefe": 17}), encoding="utf-8")
    named = dict(
        zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True)
    )
    (folder / "special_tokens_map.json").write_text(
        json.dumps(named | {"additional_special_tokens": ["<ticket>"]}), encoding="utf-8"
    )


def spm_of_deberta(folder):
    config(settings(folder, do_lower_case=False, vocab_type="spm"), model_type="deberta-v2")
    symbols = {"pad_id": 0, "unk_id": 3, "bos_id": 1, "eos_id": 2}
    named = {"pad_piece": "[PAD]", "unk_piece": "[UNK]", "bos_piece": "[CLS]", "eos_piece": "[SEP]"}
    pieces(folder / "spm.model", kind="unigram", **symbols, **named)


def spm_with_bytes(folder):
    config(settings(folder, tokenizer_class="LlamaTokenizer"), model_type="llama")
    pieces(folder / "tokenizer.model", kind="bpe", byte_fallback=True)


def tokens_of_tiktoken(folder):
    config(settings(folder, tokenizer_class="PreTrainedTokenizerFast"), model_type="llama")
    ranks = [bytes([number]) for number in range(256)] + [b"th", b"the"]
    lines = [f"{b64encode(token).decode()} {rank}\n" for rank, token in enumerate(ranks)]
    (folder / "tiktoken.model").write_text("".join(lines), encoding="utf-8")


FOLDERS = {
    "vocab.txt by the model's class": lambda folder: vocabulary(config(folder, model_type="electra")),
    "vocab.txt, cased": lambda folder: vocabulary(
        settings(folder, tokenizer_class="BertTokenizer", do_lower_case=False)
    ),
    "vocab.txt with accents kept": lambda folder: vocabulary(
        settings(folder, tokenizer_class="BertTokenizer", strip_accents=False, tokenize_chinese_chars=False)
    ),
    "added_tokens.json": added_by_an_old_version,
    "tokenizer.json alone": whole,
    "tokenizer.json of a class": lambda folder: settings(whole(folder), tokenizer_class="BertTokenizer"),
    "do_lower_case beside tokenizer.json": lambda folder: settings(
        whole(folder), tokenizer_class="BertTokenizer", do_lower_case=False
    ),
    "a class of another family": lambda folder: config(
        settings(whole(folder), tokenizer_class="ElectraTokenizer", do_lower_case=False), model_type="bert"
    ),
    "special tokens beside tokenizer.json": lambda folder: settings(
        whole(folder), tokenizer_class="PreTrainedTokenizerFast", extra_special_tokens=["<ticket>"]
    ),
    "special tokens split": lambda folder: settings(
        whole(folder), tokenizer_class="PreTrainedTokenizerFast", split_special_tokens=True
    ),
    "a longest text": lambda folder: settings(whole(folder), model_max_length=3),
    "vocab.json and merges.txt": lambda folder: bytes_of_gpt2(
        settings(folder, tokenizer_class="RobertaTokenizer")
    ),
    "a space before texts": lambda folder: bytes_of_gpt2(
        settings(folder, tokenizer_class="RobertaTokenizer", add_prefix_space=True)
    ),
    "spm.model of DeBERTa-v3": spm_of_deberta,
    "tokenizer.model with bytes": spm_with_bytes,
    "tiktoken.model": tokens_of_tiktoken,
}


@pytest.mark.parametrize("name", FOLDERS)
def test_the_ids_are_those_of_transformers(name, tmp_path):
    FOLDERS[name](tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    for _ in ("made", "kept"):
        ours = load_tokenizer(tmp_path)
        assert [ours.encode(text).ids for text in TEXTS] == theirs(TEXTS)["input_ids"]
    assert is_kept(tmp_path)
    assert len({tuple(ours.encode(text).ids) for text in TEXTS}) > 3  # There was something to tell apart.


def test_a_version_of_tokenizer_json_for_newer_transformers_is_read(tmp_path):
    settings(
        whole(tmp_path, lowercase=False), fast_tokenizer_files=["tokenizer.json", "tokenizer.4.0.0.json"]
    )
    (tmp_path / "tokenizer.json").rename(tmp_path / "tokenizer.4.0.0.json")
    whole(tmp_path)
    ids = load_tokenizer(tmp_path).encode("Red").ids
    assert ids == AutoTokenizer.from_pretrained(tmp_path)("Red")["input_ids"] == [len(SPECIAL) + 2]


def no_wordpiece(folder):
    return config(vocabulary(folder, [*SPECIAL, "▁the", "▁house", "s"]), model_type="bert")


def own_code(folder):
    return settings(whole(folder), auto_map={"AutoTokenizer": ["tokenization.Mine", None]})


def random_merges(folder):
    Tokenizer(models.BPE({"a": 0, "b": 1, "ab": 2}, [("a", "b")], dropout=0.3)).save(
        str(folder / "tokenizer.json")
    )
    return folder


REFUSED = {
    "no class": (vocabulary, "neither tokenizer_class .* nor model_type"),
    "MeCab": (
        lambda folder: vocabulary(settings(folder, tokenizer_class="BertJapaneseTokenizer")),
        "is BertJapaneseTokenizer, .* words are found by MeCab",
    ),
    "residues": (
        lambda folder: config(vocabulary(folder, ["<cls>", "<unk>", "L", "A"]), model_type="esm"),
        "is EsmTokenizer, .* no WordPiece.*tokenizer.json",
    ),
    "characters": (lambda folder: settings(folder, tokenizer_class="CanineTokenizer"), "is CanineTokenizer"),
    "another's marks": (no_wordpiece, "BertTokenizer reads the vocabulary as a WordPiece.*'▁the'"),
    "no vocabulary": (
        lambda folder: config(settings(folder, do_lower_case=True), model_type="bert"),
        "BertTokenizer reads tokenizer.json, or vocab.txt, and the folder has no vocab.txt",
    ),
    "another's files": (
        lambda folder: config(vocabulary(folder), model_type="roberta"),
        "RobertaTokenizer reads .* has no vocab.json and no merges.txt",
    ),
    "no merges": (
        lambda folder: bytes_of_gpt2(config(folder, model_type="roberta")) / "merges.txt",
        "the folder has no merges.txt",
    ),
    "no unknown token": (
        lambda folder: config(vocabulary(folder, ["[PAD]", "<unk>", "the", "##s"]), model_type="bert"),
        r"fails on characters that its vocabulary lacks .*'\[UNK\]'",
    ),
    "code of its own": (own_code, "code of the folder's own .*names tokenization.Mine.*is not run"),
    "chance": (random_merges, "leaves out merges at random .dropout 0.3"),
    "no JSON": (
        lambda folder: (settings(folder) / "tokenizer.json").write_text("{", encoding="utf-8"),
        "transformers cannot read the tokenizer: ",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_transformers_makes_no_sound_fast_tokenizer_of_is_refused_in_words(name, tmp_path):
    make, message = REFUSED[name]
    made = make(tmp_path)
    if name == "no merges":
        made.unlink()
    with pytest.raises(ValueError, match=f"(?s)^{tmp_path}: .*{message}"):
        load_tokenizer(tmp_path)
    assert not is_kept(tmp_path)


def test_no_code_of_a_folder_runs_and_nobody_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda *_: pytest.fail("somebody was asked"))
    (tmp_path / "tokenization.py").write_text("raise SystemExit('ran')", encoding="utf-8")
    with pytest.raises(ValueError, match="is not run"):
        load_tokenizer(
            own_code(config(tmp_path, model_type="strange", auto_map={"AutoConfig": "tokenization.C"}))
        )
    settings(tmp_path)
    load_tokenizer(tmp_path)


def test_a_kept_tokenizer_is_loaded_without_transformers(tmp_path, monkeypatch):
    load_tokenizer(whole(tmp_path))
    monkeypatch.setitem(sys.modules, "layerscope.jobs.text.tokenising.auto_tokenizer", None)
    assert load_tokenizer(tmp_path).encode("red").ids


def test_a_cache_that_cannot_be_written_costs_time_only(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load_tokenizer(whole(tmp_path)).encode("red").ids
    assert not is_kept(tmp_path)


@pytest.mark.parametrize("library", LIBRARIES)
def test_another_version_of_a_library_reads_the_folder_again(library, tmp_path, monkeypatch):
    load_tokenizer(whole(tmp_path))
    version = importlib.metadata.version
    monkeypatch.setattr(user_cache, "version", lambda name: "9" if name == library else version(name))
    assert not is_kept(tmp_path)


def test_the_digest_follows_every_file_that_decides_and_no_other(tmp_path):
    whole(settings(tmp_path))
    digests = [tokenizer_digest(tmp_path)]
    (tmp_path / "README.md").write_text("nothing", encoding="utf-8")
    config(tmp_path, hidden_size=3, architectures=["BertModel"], transformers_version="4.8.2")
    assert tokenizer_digest(tmp_path) == digests[0]
    for name in ("added_tokens.json", "special_tokens_map.json", "spm.model", "tokenizer.4.0.0.json"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
        digests.append(tokenizer_digest(tmp_path))
    for fields in ({"model_type": "bert"}, {"model_type": "bert", "tokenizer_class": "BertTokenizer"}):
        config(tmp_path, **fields)
        digests.append(tokenizer_digest(tmp_path))
    settings(tmp_path, do_lower_case=False)
    digests.append(tokenizer_digest(tmp_path))
    assert len(set(digests)) == len(digests)


def test_every_file_that_a_fast_class_reads_is_known():
    names = filter(None, TOKENIZER_MAPPING_NAMES.values())
    classes = [found for name in names if (found := tokenizer_class_from_name(name)) is not None]
    fast = [one for one in classes if issubclass(one, PreTrainedTokenizerFast)]
    read = {file for one in fast for file in one.vocab_files_names.values()}
    assert len(fast) > 20
    assert not {file for file in read if not any(Path(file).match(pattern) for pattern in TOKENIZER_FILES)}


def test_reasons_are_of_classes_without_a_fast_form():
    for name in REASONS:
        assert not issubclass(tokenizer_class_from_name(name), PreTrainedTokenizerFast)


def test_a_folder_without_tokenizer_is_refused_with_what_was_looked_for(tmp_path):
    with pytest.raises(ValueError, match="looked for tokenizer.json .* and for vocab.txt"):
        tokenizer_files(config(tmp_path, model_type="bert"))


def test_a_changed_tiktoken_file_is_read_anew(tmp_path):
    tokens_of_tiktoken(tmp_path)
    before = len(auto_tokenizer(tmp_path))
    path = tmp_path / "tiktoken.model"
    path.write_text(path.read_text() + f"{b64encode(b'is').decode()} 258\n", encoding="utf-8")
    assert len(auto_tokenizer(tmp_path)) == before + 1


def test_pointers_of_git_lfs_are_no_tokenizer(tmp_path):
    whole(tmp_path)
    (tmp_path / "tokenizer.json").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(ValueError, match="pointers of Git LFS in place of tokenizer.json: `git lfs pull`"):
        load_tokenizer(tmp_path)
