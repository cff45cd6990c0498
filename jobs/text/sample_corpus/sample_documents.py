"""The sample corpus: seeded English-like documents whose topic, sentiment and grammar are known.

A long document has its evidence at its head, its tail or both, and everyday filler elsewhere, so that it is
known what a truncation strategy keeps. The texts are artificial and do not represent a language.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from random import Random
from typing import Literal, TypedDict

from layerscope.jobs.text.sample_corpus.sample_lexicon import DOMAIN_BY_TOPIC, EVERYDAY, MOOD_BY_SENTIMENT
from layerscope.jobs.text.sample_corpus.sample_phrases import Sentence
from layerscope.jobs.text.sample_corpus.sample_sentences import plain_sentence, rated_sentence, reaction

VERSION = 1
"""Increased by hand when the texts of a seed change."""

TOPICS: tuple[str, ...] = tuple(DOMAIN_BY_TOPIC)
SENTIMENTS: tuple[str, ...] = tuple(MOOD_BY_SENTIMENT)

Length = Literal["short", "long"]
Evidence = Literal["head", "tail", "both", "mixed"]

EVIDENCE_WORDS = 14
"""All evidence of a short document, and of each end of a long one, is within this many words."""
_FILLER_WORDS = 16
_LONG_WORDS = (70, 110)


@dataclass(frozen=True)
class Document:
    """A text with its labels and the analysis of its sentences."""

    id: str
    text: str
    sentences: tuple[Sentence, ...]
    topic: str
    sentiment: str
    evidence: str
    """Where topic and sentiment are expressed: `head`, `tail`, `both`, or `all` for a short document."""


class SampleRow(TypedDict):
    """A document as a row of a task."""

    id: str
    text: str
    label: str


def sample_documents(
    *, num_documents: int, seed: int, length: Length, evidence: Evidence = "mixed"
) -> list[Document]:
    """Documents of different texts, balanced in topic and in sentiment; short ones ignore `evidence`."""
    return _distinct_documents(num_documents, seed, length, evidence, part="sample", taken=frozenset())


def sample_rows(
    *,
    target: Literal["topic", "sentiment"],
    length: Length,
    evidence: Evidence,
    num_train: int,
    num_test: int,
    seed: int,
) -> tuple[list[SampleRow], list[SampleRow]]:
    """Train and test rows {"id", "text", "label"}: no text in both, labels of each balanced to within one.

    The test rows do not depend on `num_train`.
    """
    if target not in ("topic", "sentiment"):
        raise ValueError(f"target {target!r} does not exist: available are 'topic' and 'sentiment'.")
    test = _distinct_documents(num_test, seed, length, evidence, part="test", taken=frozenset())
    test_texts = frozenset(document.text for document in test)
    train = _distinct_documents(num_train, seed, length, evidence, part="train", taken=test_texts)
    return [_row(document, target) for document in train], [_row(document, target) for document in test]


def _distinct_documents(
    num_documents: int, seed: int, length: Length, evidence: Evidence, *, part: str, taken: frozenset[str]
) -> list[Document]:
    """Documents from the part's own stream, their texts neither taken nor repeated."""
    _check(num_documents, length, evidence)
    where_allowed = _PLACES_OF_EVIDENCE[evidence] if length == "long" else ("all",)
    rng = Random(f"{part}/{seed}/{'/'.join(where_allowed)}")
    labels = [_labels(index) for index in range(num_documents)]
    rng.shuffle(labels)
    seen = set(taken)
    documents = []
    for index, (topic, sentiment) in enumerate(labels):
        where = rng.choice(where_allowed)
        while True:
            sentences = _sentences(rng, topic, sentiment, where)
            text = " ".join(sentence.text for sentence in sentences)
            if text not in seen:
                break
        seen.add(text)
        documents.append(Document(f"{part}-{index}", text, sentences, topic, sentiment, where))
    return documents


_PLACES_OF_EVIDENCE = {
    "head": ("head",),
    "tail": ("tail",),
    "both": ("both",),
    "mixed": ("head", "tail", "both"),
}


def _check(num_documents: int, length: str, evidence: str) -> None:
    if num_documents < 0:
        raise ValueError(f"the number of documents must be 0 or more, got {num_documents}.")
    if length not in ("short", "long"):
        raise ValueError(f"length {length!r} does not exist: available are 'short' and 'long'.")
    if evidence not in _PLACES_OF_EVIDENCE:
        raise ValueError(
            f"evidence {evidence!r} does not exist: available are {', '.join(_PLACES_OF_EVIDENCE)}."
        )


def _labels(index: int) -> tuple[str, str]:
    """Topic and sentiment of the index: every prefix is balanced in both, every 2 rounds in their pairs."""
    round_of_topics, topic = divmod(index, len(TOPICS))
    return TOPICS[topic], SENTIMENTS[(round_of_topics + topic) % len(SENTIMENTS)]


def _sentences(rng: Random, topic: str, sentiment: str, where: str) -> tuple[Sentence, ...]:
    if where == "all":
        return _evidence(rng, topic, sentiment)
    head = _evidence(rng, topic, sentiment) if where in ("head", "both") else ()
    tail = _evidence(rng, topic, sentiment) if where in ("tail", "both") else ()
    return (*head, *_filler(rng, _num_words((*head, *tail))), *tail)


def _evidence(rng: Random, topic: str, sentiment: str) -> tuple[Sentence, ...]:
    """One or two sentences that together express topic and sentiment."""
    domain, mood = DOMAIN_BY_TOPIC[topic], MOOD_BY_SENTIMENT[sentiment]
    while True:
        match rng.choice(("rated", "plain, reaction", "rated, reaction")):
            case "rated":
                sentences: tuple[Sentence, ...] = (rated_sentence(rng, domain, mood),)
            case "plain, reaction":
                sentences = (plain_sentence(rng, domain), reaction(rng, mood))
            case _:
                sentences = (rated_sentence(rng, domain, mood), reaction(rng, mood))
        if _num_words(sentences) <= EVIDENCE_WORDS:
            return sentences


def _filler(rng: Random, num_words: int) -> tuple[Sentence, ...]:
    """Everyday sentences, the same for all labels, that lengthen `num_words` to that of a long document."""
    shortest, longest = _LONG_WORDS
    enough = rng.randint(shortest, longest - _FILLER_WORDS)
    sentences: list[Sentence] = []
    while num_words < enough:
        sentence = plain_sentence(rng, EVERYDAY)
        if sentence.num_words <= _FILLER_WORDS:
            sentences.append(sentence)
            num_words += sentence.num_words
    return tuple(sentences)


def _num_words(sentences: Iterable[Sentence]) -> int:
    return sum(sentence.num_words for sentence in sentences)


def _row(document: Document, target: Literal["topic", "sentiment"]) -> SampleRow:
    label = document.topic if target == "topic" else document.sentiment
    return {"id": document.id, "text": document.text, "label": label}
