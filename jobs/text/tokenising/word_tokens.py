"""Words to sub-word tokens, and the tokens of each span of words."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from layerscope.jobs.artifacts.sentences import EncodedSentence, EncodedUnit
from layerscope.jobs.artifacts.tokenised import Span
from layerscope.jobs.text.reading.annotated_sentences import AnnotatedSentence

if TYPE_CHECKING:
    from tokenizers import Encoding, Tokenizer


def encode_words(sentences: Sequence[AnnotatedSentence], tokenizer: "Tokenizer") -> list[EncodedSentence]:
    """Encode each sentence as the text of its words, or as a pair of texts, which works with any tokenizer.

    A labelled span with a word that has no token is left out.
    """
    texts = [sentence.texts() for sentence in sentences]
    encodings = tokenizer.encode_batch([of if len(of) == 2 else of[0] for of in texts])
    return [
        _encoded(sentence, of, encoding)
        for sentence, of, encoding in zip(sentences, texts, encodings, strict=True)
    ]


def _encoded(sentence: AnnotatedSentence, texts: tuple[str, ...], encoding: "Encoding") -> EncodedSentence:
    tokens = _tokens_by_word(sentence, encoding)
    units = []
    for unit in sentence.units:
        if all(word in tokens for span in unit.spans for word in range(*span)):
            spans = tuple((tokens[first][0], tokens[last - 1][1]) for first, last in unit.spans)
            first, last = unit.spans[0]
            units.append(EncodedUnit(spans, unit.label, " ".join(sentence.words[first:last]).lower()))
    type_ids = tuple(encoding.type_ids) if len(texts) == 2 else None
    return EncodedSentence(sentence.id, texts, tuple(encoding.ids), tuple(units), type_ids)


def _tokens_by_word(sentence: AnnotatedSentence, encoding: "Encoding") -> dict[int, Span]:
    """The tokens that share a character with each word that has any; special tokens are of no text."""
    found: dict[int, Span] = {}
    for text, (first_word, last_word) in enumerate(sentence.parts()):
        places = [
            (at, *characters)
            for at, (of, characters) in enumerate(zip(encoding.sequence_ids, encoding.offsets, strict=True))
            if of == text
        ]
        begin = 0
        for word in range(first_word, last_word):
            begin += word > first_word and sentence.follows_space(word)
            end = begin + len(sentence.words[word])
            tokens = [at for at, first, last in places if first < end and last > begin]
            if tokens:
                found[word] = tokens[0], tokens[-1] + 1
            begin = end
    return found
