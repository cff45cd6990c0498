"""The sample corpus is deterministic, grammatical, balanced, and tells its labels only where it says so."""

import hashlib
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import combinations, pairwise
from pathlib import Path

import pytest

from layerscope.jobs.text.sample_corpus import sample_inflection as inflection
from layerscope.jobs.text.sample_corpus.sample_documents import (
    EVIDENCE_WORDS,
    SENTIMENTS,
    TOPICS,
    VERSION,
    Document,
    Sentence,
    sample_documents,
    sample_rows,
)
from layerscope.jobs.text.sample_corpus.sample_lexicon import (
    DOMAIN_BY_TOPIC,
    EVERYDAY,
    MOOD_BY_SENTIMENT,
    Domain,
)
from tests.jobs.text.sample_corpus.conllu import to_conllu

SHARED = Path(os.environ.get("LAYERSCOPE_SHARED", Path(__file__).parents[4] / "../shared"))
UPOS = {"ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT"}
UPOS |= {"SCONJ", "VERB"}
RELATIONS = {"root", "nsubj", "nsubj:pass", "obj", "obl", "obl:agent", "nmod", "nmod:poss", "amod", "det"}
RELATIONS |= {"nummod", "case", "advmod", "aux", "aux:pass", "cop", "mark", "advcl", "acl:relcl", "xcomp"}
RELATIONS |= {"ccomp", "conj", "cc", "expl", "punct"}
NUM_TEST = 300


@pytest.fixture(scope="module")
def short() -> list[Document]:
    return sample_documents(num_documents=1200, seed=7, length="short")


@pytest.fixture(scope="module")
def long() -> list[Document]:
    return sample_documents(num_documents=240, seed=7, length="long")


@pytest.fixture(scope="module")
def sentences(short, long) -> list[Sentence]:
    return [sentence for document in short + long for sentence in document.sentences]


def words_of(document: Document) -> list[str]:
    """The document's tokens without punctuation, in lower case."""
    return [
        token.lower()
        for sentence in document.sentences
        for token, tag in zip(sentence.tokens, sentence.tags, strict=True)
        if tag != "PUNCT"
    ]


def words_by_tag(domain: Domain) -> dict[str, frozenset[str]]:
    """The content words in their base form: keys NOUN, VERB and ADJ."""
    phrases = domain.places + tuple(phrase for process in domain.processes for phrase in process.phrases)
    nouns = {*domain.people, *(noun for _, _, noun in phrases)}
    verbs, adjectives = set(), set(domain.people_adjectives)
    for frame in domain.frames:
        nouns.update(frame.objects, frame.instruments)
        verbs.update(frame.verbs)
        adjectives.update(frame.adjectives)
    for process in domain.processes:
        nouns.update(process.subjects)
        verbs.update(process.verbs)
    return {"NOUN": frozenset(nouns), "VERB": frozenset(verbs), "ADJ": frozenset(adjectives)}


def forms_of(domain: Domain) -> set[str]:
    """Every form of every content word of the domain."""
    words = words_by_tag(domain)
    nouns = words["NOUN"] | {inflection.plural_of(noun) for noun in words["NOUN"]}
    return nouns | words["ADJ"] | forms_of_verbs(words["VERB"])


def forms_of_verbs(verbs: Iterable[str]) -> set[str]:
    inflections = (
        str,
        inflection.third_person_of,
        inflection.past_of,
        inflection.participle_of,
        inflection.gerund_of,
    )
    return {inflect(verb) for verb in verbs for inflect in inflections}


def forms_by_label() -> dict[str, set[str]]:
    """Every form of every word that tells a topic or a sentiment."""
    topics = {topic: forms_of(domain) for topic, domain in DOMAIN_BY_TOPIC.items()}
    moods = {name: mood.words() | forms_of_verbs(mood.verbs) for name, mood in MOOD_BY_SENTIMENT.items()}
    return topics | moods


# Determinism


def test_a_seed_gives_the_texts_and_trees_that_it_gave_when_its_version_was_set():
    documents = [
        *sample_documents(num_documents=30, seed=3, length="short"),
        *sample_documents(num_documents=15, seed=3, length="long"),
    ]
    labels = "".join(f"{document.topic} {document.sentiment} {document.evidence}\n" for document in documents)
    digest = hashlib.sha256((labels + to_conllu(documents)).encode()).hexdigest()[:16]
    assert (VERSION, digest) == (1, "7482a2ba07c10128"), (
        "the texts of a seed changed: raise VERSION and this digest"
    )


def test_another_seed_gives_other_texts():
    texts = [
        {document.text for document in sample_documents(num_documents=50, seed=seed, length="long")}
        for seed in (0, 1)
    ]
    assert not texts[0] & texts[1]


# Grammar


def test_every_sentence_is_one_tree(sentences):
    for sentence in sentences:
        assert [relation == "root" for relation in sentence.relations] == [
            head == 0 for head in sentence.heads
        ]
        assert sentence.heads.count(0) == 1
        for place in range(1, len(sentence.heads) + 1):
            steps = 0
            while place:
                assert sentence.heads[place - 1] != place
                place = sentence.heads[place - 1]
                steps += 1
                assert steps <= len(sentence.heads), sentence.text


def test_tags_and_relations_are_those_of_universal_dependencies(sentences):
    assert {tag for sentence in sentences for tag in sentence.tags} == UPOS
    assert {relation for sentence in sentences for relation in sentence.relations} == RELATIONS


def test_a_text_is_its_tokens_detokenised(short, long):
    for document in short + long:
        spaced = [re.sub(r" (?=[.,]|'s\b)", "", " ".join(s.tokens)) for s in document.sentences]
        assert document.text == " ".join(spaced)
        for sentence, text in zip(document.sentences, spaced, strict=True):
            assert sentence.text == text
            assert text[0].isupper() and text.endswith(".")


def test_an_article_fits_the_word_behind_it(sentences):
    vowel = re.compile(r"(?!use|uni)[aeiou]|hour")
    pairs = {pair for sentence in sentences for pair in pairwise(token.lower() for token in sentence.tokens)}
    articles = {pair for pair in pairs if pair[0] in {"a", "an"}}
    assert {first for first, _ in articles} == {"a", "an"}
    assert [pair for pair in articles if (pair[0] == "an") != bool(vowel.match(pair[1]))] == []


def test_was_and_were_agree_with_the_subject(sentences):
    seen = Counter()
    for sentence in sentences:
        rows = list(zip(sentence.tokens, sentence.heads, sentence.relations, strict=True))
        for number, (subject, head, relation) in enumerate(rows, start=1):
            if not relation.startswith("nsubj"):
                continue
            verbs = [token for token, of, kind in rows if of == head and kind in {"cop", "aux", "aux:pass"}]
            determiners = {token.lower() for token, of, _ in rows if of == number}
            if verbs and verbs[0] in {"was", "were"} and determiners & {"two", "three", "several", "these"}:
                assert verbs[0] == "were", sentence.text
                seen["plural"] += 1
            if verbs and verbs[0] in {"was", "were"} and determiners & {"a", "an", "this"}:
                assert verbs[0] == "was", sentence.text
                seen["singular"] += 1
            if subject in {"We", "They", "we", "they"}:
                assert "was" not in verbs
    assert min(seen["plural"], seen["singular"]) > 20


@pytest.mark.parametrize(
    ("inflect", "word", "form"),
    [
        (inflection.plural_of, "berry", "berries"),
        (inflection.plural_of, "day", "days"),
        (inflection.plural_of, "match", "matches"),
        (inflection.plural_of, "woman", "women"),
        (inflection.past_of, "stop", "stopped"),
        (inflection.past_of, "bake", "baked"),
        (inflection.past_of, "fry", "fried"),
        (inflection.past_of, "throw", "threw"),
        (inflection.participle_of, "throw", "thrown"),
        (inflection.gerund_of, "stir", "stirring"),
        (inflection.gerund_of, "bake", "baking"),
        (inflection.third_person_of, "carry", "carries"),
        (inflection.article_before, "useless", "a"),
        (inflection.article_before, "unpaid", "an"),
        (inflection.article_before, "hourly", "an"),
    ],
)
def test_words_inflect_as_in_english(inflect, word, form):
    assert inflect(word) == form


def test_every_preposition_has_a_role_and_several_have_more_than_one(sentences):
    roles_by_preposition = defaultdict(set)
    for sentence in sentences:
        assert {place for place, _ in sentence.preposition_roles} == {
            place for place, tag in enumerate(sentence.tags) if tag == "ADP"
        }
        for place, role in sentence.preposition_roles:
            assert sentence.relations[place] == "case"
            roles_by_preposition[sentence.tokens[place].lower()].add(role)
    ambiguous = {preposition for preposition, roles in roles_by_preposition.items() if len(roles) > 1}
    assert {"in", "on", "at", "by", "with", "for", "of"} <= ambiguous
    assert roles_by_preposition["in"] == {"Locus", "Time"}
    assert roles_by_preposition["with"] == {"Instrument", "Companion"}


# Labels and evidence


def test_topics_and_sentiments_are_balanced_at_every_size():
    for num_documents in (1, 5, 12, 25, 100):
        documents = sample_documents(num_documents=num_documents, seed=0, length="short")
        for labels, all_labels in (
            ([document.topic for document in documents], TOPICS),
            ([document.sentiment for document in documents], SENTIMENTS),
        ):
            counts = [labels.count(label) for label in all_labels]
            assert max(counts) - min(counts) <= 1
    pairs = Counter(
        (d.topic, d.sentiment) for d in sample_documents(num_documents=120, seed=0, length="short")
    )
    assert set(pairs.values()) == {10}


def test_lengths_are_as_promised(short, long):
    assert {document.evidence for document in short} == {"all"}
    assert max(len(words_of(document)) for document in short) <= EVIDENCE_WORDS
    assert max(len(document.sentences) for document in short) <= 2
    lengths = [len(words_of(document)) for document in long]
    assert min(lengths) >= 70 and max(lengths) <= 110


def test_topic_and_sentiment_show_in_the_evidence_and_nowhere_else(short, long):
    forms = forms_by_label()
    assert Counter(document.evidence for document in long).keys() == {"head", "tail", "both"}
    for document in short + long:
        words = words_of(document)
        ends = {
            "all": [words],
            "head": [words[:EVIDENCE_WORDS]],
            "tail": [words[-EVIDENCE_WORDS:]],
            "both": [words[:EVIDENCE_WORDS], words[-EVIDENCE_WORDS:]],
        }[document.evidence]
        for end in ends:
            told = {label for label, label_forms in forms.items() if label_forms & set(end)}
            assert told == {document.topic, document.sentiment}, document.text
        first = EVIDENCE_WORDS if document.evidence in {"head", "both"} else 0
        last = EVIDENCE_WORDS if document.evidence in {"tail", "both"} else 0
        rest = set() if document.evidence == "all" else set(words[first : len(words) - last])
        assert not rest & set().union(*forms.values()), document.text


def test_rows_share_no_text_and_the_test_rows_do_not_depend_on_the_training():
    options = {"length": "short", "evidence": "mixed", "num_test": 301, "seed": 1}
    train, test = sample_rows(target="topic", num_train=601, **options)
    _, same_test = sample_rows(target="sentiment", num_train=5, **options)
    texts = [row["text"] for row in train + test]
    assert len(texts) == len(set(texts)) == 902
    assert [row["text"] for row in test] == [row["text"] for row in same_test]
    assert {row["label"] for row in test} == set(TOPICS)
    assert {row["label"] for row in same_test} == set(SENTIMENTS)
    assert len({row["id"] for row in train + test}) == 902
    for rows in (train, test, same_test):
        counts = Counter(row["label"] for row in rows).values()
        assert max(counts) - min(counts) <= 1


def bag_of_words_accuracy(documents: list[Document], *, target: str, words: slice) -> float:
    from sklearn.feature_extraction.text import CountVectorizer
    from sklearn.naive_bayes import BernoulliNB
    from sklearn.pipeline import make_pipeline

    texts = [" ".join(document.text.split()[words]) for document in documents]
    labels = [getattr(document, target) for document in documents]
    model = make_pipeline(CountVectorizer(), BernoulliNB(alpha=0.1))
    model.fit(texts[NUM_TEST:], labels[NUM_TEST:])
    return model.score(texts[:NUM_TEST], labels[:NUM_TEST])


@pytest.mark.slow
@pytest.mark.parametrize("evidence", ["head", "tail"])
def test_a_bag_of_words_finds_the_labels_where_the_evidence_is_and_nothing_elsewhere(evidence):
    documents = sample_documents(num_documents=2000 + NUM_TEST, seed=5, length="long", evidence=evidence)
    ends = {"head": slice(None, 16), "tail": slice(-16, None)}
    where = ends.pop(evidence)
    (elsewhere,) = ends.values()
    for target, num_labels in (("topic", len(TOPICS)), ("sentiment", len(SENTIMENTS))):
        chance = 1 / num_labels
        # Four standard deviations of the accuracy of a guess.
        nothing = chance + 4 * (chance * (1 - chance) / NUM_TEST) ** 0.5
        assert bag_of_words_accuracy(documents, target=target, words=where) > 0.95
        assert bag_of_words_accuracy(documents, target=target, words=elsewhere) < nothing


def test_a_bag_of_words_finds_the_topic_of_a_whole_short_document():
    documents = sample_documents(num_documents=4000 + NUM_TEST, seed=5, length="short")
    assert bag_of_words_accuracy(documents, target="topic", words=slice(None)) > 0.98


# The lexicon


def test_every_topic_has_dozens_of_words_and_shares_none():
    for domain in DOMAIN_BY_TOPIC.values():
        words = words_by_tag(domain)
        assert len(words["NOUN"]) >= 40
        assert len(words["VERB"]) >= 20
        assert len(words["ADJ"]) >= 20
    assert all(len(mood.words()) >= 60 for mood in MOOD_BY_SENTIMENT.values())
    forms_by_name = forms_by_label() | {"everyday": forms_of(EVERYDAY)}
    for (one, forms), (other, other_forms) in combinations(forms_by_name.items(), 2):
        assert not forms & other_forms, (one, other)


def test_most_words_are_one_piece_for_a_pretrained_encoder(long):
    vocabulary = SHARED / "models" / "tokenizer-bert-base-uncased" / "vocab.txt"
    if not vocabulary.exists():
        pytest.skip(f"needs the vocabulary of bert-base-uncased at {vocabulary}")
    pieces = set(vocabulary.read_text(encoding="utf-8").split("\n"))
    words = [word for document in long for word in words_of(document) if word != "'s"]
    assert sum(word in pieces for word in words) / len(words) > 0.9


# Formats and errors


def test_conllu_gives_back_every_sentence(short, long):
    documents = short[:20] + long[:5]
    blocks = to_conllu(documents).removesuffix("\n\n").split("\n\n")
    expected = [
        (f"{document.id}-{number}", sentence)
        for document in documents
        for number, sentence in enumerate(document.sentences, start=1)
    ]
    assert len(blocks) == len(expected)
    for block, (sentence_id, sentence) in zip(blocks, expected, strict=True):
        first, second, *lines = block.split("\n")
        rows = [line.split("\t") for line in lines]
        assert (first, second) == (f"# sent_id = {sentence_id}", f"# text = {sentence.text}")
        assert [row[0] for row in rows] == [str(place) for place in range(1, len(rows) + 1)]
        assert {len(row) for row in rows} == {10}
        misc = [dict(note.split("=") for note in row[9].split("|") if note != "_") for row in rows]
        spaced = "".join(
            row[1] + ("" if "SpaceAfter" in notes else " ") for row, notes in zip(rows, misc, strict=True)
        )
        assert spaced.rstrip() == sentence.text
        assert sentence == Sentence(
            tokens=tuple(row[1] for row in rows),
            tags=tuple(row[3] for row in rows),
            heads=tuple(int(row[6]) for row in rows),
            relations=tuple(row[7] for row in rows),
            preposition_roles=tuple(
                (place, notes["Role"]) for place, notes in enumerate(misc) if "Role" in notes
            ),
        )


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"length": "medium"}, "length 'medium' does not exist: available are 'short' and 'long'"),
        ({"evidence": "middle"}, "evidence 'middle' does not exist: available are head, tail, both, mixed"),
        ({"num_documents": -1}, "must be 0 or more, got -1"),
    ],
)
def test_a_wrong_request_is_refused_with_what_is_available(wrong, message):
    with pytest.raises(ValueError, match=message):
        sample_documents(**{"num_documents": 1, "seed": 0, "length": "long", **wrong})


def test_a_wrong_target_is_refused():
    with pytest.raises(
        ValueError, match="target 'author' does not exist: available are 'topic' and 'sentiment'"
    ):
        sample_rows(target="author", length="short", evidence="mixed", num_train=1, num_test=1, seed=0)
