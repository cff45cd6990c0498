"""The parts of the sample corpus's grammar: nominals, prepositional phrases and clauses as dependency trees.

A part is a node with its children in their order, so every sentence is a single-rooted projective tree by
construction. Relations and tags follow Universal Dependencies 2; most roles have their names from SNACS.
"""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any, NamedTuple

from layerscope.jobs.text.sample_corpus import sample_inflection as inflection
from layerscope.jobs.text.sample_corpus import sample_lexicon as lexicon
from layerscope.jobs.text.sample_corpus.sample_lexicon import Domain, Frame, Phrase

_TIGHT = frozenset({".", ",", "'s"})
"""Tokens that stand against the token before them."""


@dataclass(frozen=True)
class Sentence:
    """Tokens of one sentence with their gold annotation; all tuples but the roles have one item a token."""

    tokens: tuple[str, ...]
    tags: tuple[str, ...]
    """Universal part-of-speech tags."""
    heads: tuple[int, ...]
    """1-based position of each token's head, 0 for the root."""
    relations: tuple[str, ...]
    """Universal dependency relations."""
    preposition_roles: tuple[tuple[int, str], ...]
    """0-based position and role of each preposition."""

    @property
    def text(self) -> str:
        """The detokenised form."""
        return "".join(
            token + (" " if space else "")
            for token, space in zip(self.tokens, self.spaces_after, strict=True)
        ).rstrip()

    @property
    def spaces_after(self) -> tuple[bool, ...]:
        """Whether a space follows each token; true for the last one."""
        return (*(token not in _TIGHT for token in self.tokens[1:]), True)

    @property
    def num_words(self) -> int:
        """Tokens without punctuation."""
        return len(self.tags) - self.tags.count("PUNCT")


class Node(NamedTuple):
    """A word with its dependents to its left and to its right."""

    form: str
    tag: str
    relation: str
    left: "tuple[Node, ...]" = ()
    right: "tuple[Node, ...]" = ()
    role: str = ""
    number: str = "singular"
    """Of a subject: singular, plural, or first for "I"."""


def draw_sentence(rng: Random, build: Callable[[], Node]) -> Sentence:
    """Build until no content word occurs twice ("the chef with the chefs")."""
    while True:
        root = build()
        rows: list[list[Any]] = []
        _flatten(root._replace(right=(*root.right, Node(".", "PUNCT", "punct"))), rows)
        content = [form.rstrip("s") for form, tag, *_ in rows if tag in {"NOUN", "VERB", "ADJ", "PROPN"}]
        if len(set(content)) == len(content):
            break
    forms, tags, relations, roles, heads = zip(*rows, strict=True)
    return Sentence(
        tokens=(forms[0][0].upper() + forms[0][1:], *forms[1:]),
        tags=tags,
        heads=heads,
        relations=relations,
        preposition_roles=tuple((index, role) for index, role in enumerate(roles) if role),
    )


def _flatten(node: Node, rows: list[list[Any]]) -> int:
    """Append the node's subtree in order of the sentence, heads filled in, and return the node's place."""
    children = [_flatten(child, rows) for child in node.left]
    place = len(rows)
    rows.append([node.form, node.tag, node.relation, node.role, 0])
    children += [_flatten(child, rows) for child in node.right]
    for child in children:
        rows[child][-1] = place + 1
    return place


# Nominals


def noun_phrase(
    rng: Random,
    noun: str,
    relation: str,
    *,
    determiner: str = "",
    adjective: Node | None = None,
    plural: bool = False,
) -> Node:
    """A noun with its determiner; without a given one, one is drawn that fits the number."""
    left = (adjective,) if adjective else ()
    if noun in inflection.MASS_NOUNS:
        determiner = {"": rng.choice(("the", "the", "some")), "a": "some"}.get(determiner, determiner)
        plural = False
    elif not determiner:
        determiner = rng.choice(_PLURAL_DETERMINERS if plural else _SINGULAR_DETERMINERS)
    if determiner == "a":
        first = adjective.left[0].form if adjective and adjective.left else left[0].form if left else noun
        determiner = inflection.article_before(first)
    form = inflection.plural_of(noun) if plural else noun
    number = "plural" if plural else "singular"
    return Node(form, "NOUN", relation, (_determiner(determiner), *left), number=number)


_SINGULAR_DETERMINERS = ("the",) * 7 + ("a",) * 4 + ("this", "our", "their", "Anna", "Peter")
_PLURAL_DETERMINERS = ("the",) * 5 + ("some", "some", "these", "our", "two", "three", "several")
_DETERMINERS_OF_PERSON = ("the",) * 6 + ("a",) * 3 + ("our",)
_DETERMINERS_OF_PEOPLE = ("the",) * 6 + ("some", "two", "three", "several")


def _determiner(word: str) -> Node:
    if word in {"our", "their", "my"}:
        return Node(word, "PRON", "nmod:poss")
    if word in {"two", "three"}:
        return Node(word, "NUM", "nummod")
    if word == "several":
        return Node(word, "ADJ", "amod")
    if word in lexicon.NAMES:
        return Node(word, "PROPN", "nmod:poss", right=(Node("'s", "PART", "case"),))
    return Node(word, "DET", "det")


def adjective_phrase(rng: Random, words: tuple[str, ...], *, intensified: float = 0.0) -> Node:
    """One of the words, with an adverb of degree before it at the given probability."""
    left = (Node(rng.choice(_INTENSIFIERS), "ADV", "advmod"),) if rng.random() < intensified else ()
    return Node(rng.choice(words), "ADJ", "amod", left)


_INTENSIFIERS = ("really", "truly", "quite")


def person_phrase(
    rng: Random, domain: Domain, relation: str = "nsubj", *, adjective: Node | None = None
) -> Node:
    """One or several of the domain's people."""
    if adjective is None and rng.random() < 0.2:
        adjective = adjective_phrase(rng, domain.people_adjectives)
    plural = rng.random() < 0.3
    determiner = rng.choice(_DETERMINERS_OF_PEOPLE if plural else _DETERMINERS_OF_PERSON)
    return noun_phrase(
        rng, rng.choice(domain.people), relation, determiner=determiner, adjective=adjective, plural=plural
    )


def agent_phrase(rng: Random, domain: Domain, relation: str = "nsubj") -> Node:
    """Someone who acts: mostly one of the domain's people."""
    return person_phrase(rng, domain, relation) if rng.random() < 0.75 else bystander_phrase(rng, relation)


def bystander_phrase(rng: Random, relation: str = "nsubj") -> Node:
    """Someone of no domain."""
    draw = rng.random()
    if draw < 0.4:
        return Node(rng.choice(lexicon.NAMES), "PROPN", relation)
    if draw < 0.8:
        form, number = rng.choice((("I", "first"), ("we", "plural"), ("they", "plural"), ("she", "singular")))
        return Node(form, "PRON", relation, number=number)
    return noun_phrase(rng, rng.choice(lexicon.RELATIVES), relation, determiner="my")


def thing_phrase(rng: Random, frame: Frame, relation: str, *, adjective: Node | None = None) -> Node:
    """What the frame's verbs act on."""
    if adjective is None and rng.random() < 0.35:
        adjective = adjective_phrase(rng, frame.adjectives)
    return noun_phrase(
        rng, rng.choice(frame.objects), relation, adjective=adjective, plural=rng.random() < 0.25
    )


# Prepositional phrases


def prepositional_phrase(preposition: str, role: str, nominal: Node, relation: str = "obl") -> Node:
    """The nominal behind a preposition in a role."""
    case = Node(preposition, "ADP", "case", role=role)
    return nominal._replace(relation=relation, left=(case, *nominal.left))


def known_phrase(rng: Random, phrase: Phrase, relation: str = "obl") -> Node:
    """A phrase of the lexicon; places may have a size."""
    role, preposition, noun = phrase
    adjective = adjective_phrase(rng, lexicon.SIZES) if role == "Locus" and rng.random() < 0.15 else None
    return prepositional_phrase(
        preposition, role, noun_phrase(rng, noun, "", determiner="the", adjective=adjective), relation
    )


def place_phrase(rng: Random, domain: Domain, relation: str = "obl") -> Node:
    """Where."""
    return known_phrase(rng, rng.choice(domain.places), relation)


def time_phrase(rng: Random) -> Node:
    """When."""
    if rng.random() < 0.3:
        return known_phrase(rng, rng.choice(lexicon.PARTS_OF_TIME))
    role, preposition, noun = rng.choice(lexicon.TIMES)
    return prepositional_phrase(preposition, role, Node(noun, "PROPN" if noun[0].isupper() else "NOUN", ""))


def duration_phrase(rng: Random) -> Node:
    """How long."""
    plural = rng.random() < 0.7
    determiner = rng.choice(("two", "three", "several")) if plural else "a"
    return prepositional_phrase(
        "for",
        "Duration",
        noun_phrase(rng, rng.choice(lexicon.SPANS), "", determiner=determiner, plural=plural),
    )


def _companion(rng: Random, domain: Domain) -> Node:
    other = noun_phrase(rng, rng.choice(domain.people), "", determiner="the", plural=rng.random() < 0.3)
    if rng.random() < 0.4:
        other = Node(rng.choice(lexicon.NAMES), "PROPN", "")
    return prepositional_phrase("with", "Companion", other)


def _adjuncts(rng: Random, domain: Domain, frame: Frame, count: int) -> tuple[Node, ...]:
    """`count` phrases of different kinds, in the order in which English has them."""
    kinds = set(rng.sample(("companion", "beneficiary", "place", "place", "time", "time"), count))
    phrases = []
    if frame.instruments and rng.random() < 0.5:
        tool = noun_phrase(rng, rng.choice(frame.instruments), "", determiner=rng.choice(("a", "the")))
        phrases.append(prepositional_phrase("with", "Instrument", tool))
    elif "companion" in kinds:
        phrases.append(_companion(rng, domain))
    if "beneficiary" in kinds:
        phrases.append(prepositional_phrase("for", "Beneficiary", person_phrase(rng, domain)))
    if "place" in kinds:
        phrases.append(place_phrase(rng, domain))
    if "time" in kinds:
        phrases.append(time_phrase(rng))
    return tuple(phrases)


# Clauses


def verb_group(verb: str, subject: Node, tense: str, relation: str = "root") -> Node:
    """The verb in its form, with its subject and auxiliaries to its left."""
    auxiliary = ""
    match tense:
        case "past":
            form = inflection.past_of(verb)
        case "progressive":
            auxiliary, form = was_or_were(subject), inflection.gerund_of(verb)
        case "perfect":
            auxiliary, form = "had", inflection.participle_of(verb)
        case "present":
            form = inflection.third_person_of(verb) if subject.number == "singular" else verb
        case _:
            raise AssertionError(tense)
    left = (subject, Node(auxiliary, "AUX", "aux")) if auxiliary else (subject,)
    return Node(form, "VERB", relation, left)


def was_or_were(subject: Node) -> str:
    """The form of "be" that agrees with the subject."""
    return "were" if subject.number == "plural" else "was"


TENSES = ("past",) * 8 + ("progressive", "perfect")


def event_clause(
    rng: Random,
    domain: Domain,
    *,
    relation: str = "root",
    tense: str = "",
    subject: Node | None = None,
    adjective: Node | None = None,
    manner: Node | None = None,
    num_adjuncts: int = 0,
) -> Node:
    """Who did what to which thing, perhaps how, with whom, where and when."""
    frame = rng.choice(domain.frames)
    verb = verb_group(
        rng.choice(frame.verbs), subject or agent_phrase(rng, domain), tense or rng.choice(TENSES), relation
    )
    thing = thing_phrase(rng, frame, "obj", adjective=adjective)
    how = (manner,) if manner else ()
    return verb._replace(right=(thing, *how, *_adjuncts(rng, domain, frame, num_adjuncts)))


def copular_clause(subject: Node, predicate: Node) -> Node:
    """The predicate is the head; what it has to its left comes after the copula."""
    copula = Node(was_or_were(subject), "AUX", "cop")
    return predicate._replace(relation="root", left=(subject, copula, *predicate.left))


def marked(clause: Node, mark: str, relation: str = "advcl") -> Node:
    """The clause as a dependent that opens with a conjunction."""
    return clause._replace(relation=relation, left=(Node(mark, "SCONJ", "mark"), *clause.left))


def fronted(clause: Node, opening: Node) -> Node:
    """The clause after an opening and a comma."""
    return clause._replace(left=(opening, Node(",", "PUNCT", "punct"), *clause.left))


def with_more(node: Node, *more: Node) -> Node:
    """The node with more dependents at its right end."""
    return node._replace(right=(*node.right, *more))
