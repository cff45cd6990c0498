"""The sentences of the sample corpus: which constructions there are and how often each is drawn."""

from random import Random

from layerscope.jobs.text.sample_corpus import sample_inflection as inflection
from layerscope.jobs.text.sample_corpus import sample_lexicon as lexicon
from layerscope.jobs.text.sample_corpus.sample_lexicon import Domain, Mood
from layerscope.jobs.text.sample_corpus.sample_phrases import (
    TENSES,
    Node,
    Sentence,
    adjective_phrase,
    agent_phrase,
    bystander_phrase,
    copular_clause,
    draw_sentence,
    duration_phrase,
    event_clause,
    fronted,
    known_phrase,
    marked,
    noun_phrase,
    person_phrase,
    place_phrase,
    prepositional_phrase,
    thing_phrase,
    time_phrase,
    verb_group,
    was_or_were,
    with_more,
)


def plain_sentence(rng: Random, domain: Domain) -> Sentence:
    """A sentence about the domain that expresses no sentiment."""
    return draw_sentence(rng, lambda: rng.choice(_PLAIN)(rng, domain))


def rated_sentence(rng: Random, domain: Domain, mood: Mood) -> Sentence:
    """A sentence about the domain that expresses the mood."""
    return draw_sentence(rng, lambda: rng.choice(_RATED)(rng, domain, mood))


def reaction(rng: Random, mood: Mood) -> Sentence:
    """A short sentence that expresses the mood about what was said before."""
    return draw_sentence(rng, lambda: rng.choice(_REACTIONS)(rng, mood))


# Sentences that express no sentiment


def _acts(rng: Random, domain: Domain) -> Node:
    return event_clause(rng, domain, num_adjuncts=rng.choice((1, 1, 2)))


def _acts_after_opening(rng: Random, domain: Domain) -> Node:
    draw = rng.random()
    if draw < 0.4:
        opening = Node(rng.choice(("later", "then", "meanwhile", "afterwards", "finally")), "ADV", "advmod")
    else:
        opening = time_phrase(rng) if draw < 0.7 else place_phrase(rng, domain)
    return fronted(event_clause(rng, domain, tense="past"), opening)


def _proceeds(rng: Random, domain: Domain) -> Node:
    process = rng.choice(domain.processes)
    subject = noun_phrase(rng, rng.choice(process.subjects), "nsubj", plural=rng.random() < 0.3)
    verb = verb_group(rng.choice(process.verbs), subject, rng.choice(TENSES))
    phrase = rng.choice(process.phrases)
    more = (time_phrase(rng),) if phrase[0] != "Time" and rng.random() < 0.4 else ()
    return with_more(verb, known_phrase(rng, phrase), *more)


def _habit(rng: Random, domain: Domain) -> Node:
    subject = person_phrase(rng, domain)
    clause = event_clause(rng, domain, tense="present", subject=subject)
    often = Node(rng.choice(("often", "usually", "always", "sometimes", "rarely")), "ADV", "advmod")
    clause = clause._replace(left=(*clause.left, often))
    return with_more(clause, place_phrase(rng, domain)) if rng.random() < 0.5 else clause


def _passive(rng: Random, domain: Domain, manner: Node | None = None) -> Node:
    frame = rng.choice(domain.frames)
    subject = thing_phrase(rng, frame, "nsubj:pass")
    how = (manner,) if manner else ()
    by = (
        (prepositional_phrase("by", "Agent", person_phrase(rng, domain), "obl:agent"),)
        if manner or rng.random() < 0.6
        else ()
    )
    where = (rng.choice((place_phrase(rng, domain), time_phrase(rng))),) if not by else ()
    left = (subject, Node(was_or_were(subject), "AUX", "aux:pass"))
    return Node(inflection.participle_of(rng.choice(frame.verbs)), "VERB", "root", left, (*how, *by, *where))


def _stays(rng: Random, domain: Domain) -> Node:
    where = place_phrase(rng, domain)
    if rng.random() < 0.5:
        return with_more(copular_clause(person_phrase(rng, domain), where), time_phrase(rng))
    someone = noun_phrase(rng, rng.choice(domain.people), "nsubj", determiner="a")
    if rng.random() < 0.4:
        crowd = rng.choice(("group", "pair", "couple", "crowd"))
        many = noun_phrase(rng, rng.choice(domain.people), "", determiner="the", plural=True)
        many = prepositional_phrase("of", "Quantity", many._replace(left=()), "nmod")
        someone = with_more(noun_phrase(rng, crowd, "nsubj", determiner="a"), many)
    return _exists(someone, where)


def _exists(subject: Node, *right: Node) -> Node:
    return Node(was_or_were(subject), "VERB", "root", (Node("there", "PRON", "expl"),), (subject, *right))


def _acts_while(rng: Random, domain: Domain) -> Node:
    main = event_clause(rng, domain, tense="past")
    mark = rng.choice(("while", "after", "before", "because"))
    tense = {"while": "progressive", "after": "past", "before": "past", "because": "perfect"}[mark]
    clause = marked(event_clause(rng, domain, tense=tense), mark)
    if mark != "because" and rng.random() < 0.4:
        return fronted(main, clause)
    return with_more(main, clause)


def _acts_twice(rng: Random, domain: Domain) -> Node:
    first = event_clause(rng, domain, tense="past")
    second = event_clause(rng, domain, tense="past", relation="conj")
    return with_more(first, second._replace(left=(Node("and", "CCONJ", "cc"),)))


def _said(rng: Random, domain: Domain) -> Node:
    content = event_clause(rng, domain, tense=rng.choice(("perfect", "past")))
    return _saying(rng, content)


def _saying(rng: Random, content: Node) -> Node:
    subject = bystander_phrase(rng) if rng.random() < 0.7 else Node("everyone", "PRON", "nsubj")
    verb = verb_group(rng.choice(("say", "think", "know", "mention")), subject, "past")
    return with_more(verb, marked(content, "that", "ccomp"))


def _intends(rng: Random, domain: Domain) -> Node:
    verb = verb_group(rng.choice(("want", "decide", "need", "hope")), agent_phrase(rng, domain), "past")
    return with_more(verb, _infinitive(rng, domain), *((time_phrase(rng),) if rng.random() < 0.3 else ()))


def _infinitive(rng: Random, domain: Domain) -> Node:
    frame = rng.choice(domain.frames)
    to = Node("to", "PART", "mark")
    return Node(rng.choice(frame.verbs), "VERB", "xcomp", (to,), (thing_phrase(rng, frame, "obj"),))


def _shows(rng: Random, domain: Domain) -> Node:
    verb = verb_group(rng.choice(("show", "describe", "mention")), agent_phrase(rng, domain), "past")
    other = prepositional_phrase("to", "Recipient", person_phrase(rng, domain))
    return with_more(verb, thing_phrase(rng, rng.choice(domain.frames), "obj"), other)


def _talks(rng: Random, domain: Domain) -> Node:
    verb = verb_group(rng.choice(("talk", "speak")), agent_phrase(rng, domain), "past")
    topic = prepositional_phrase("about", "Topic", thing_phrase(rng, rng.choice(domain.frames), ""))
    return with_more(verb, topic, rng.choice((duration_phrase, time_phrase))(rng))


def _finishes_report(rng: Random, domain: Domain) -> Node:
    verb = verb_group(
        rng.choice(("finish", "start", "receive")), agent_phrase(rng, domain), rng.choice(TENSES)
    )
    report = noun_phrase(
        rng,
        rng.choice(("report", "article", "paper")),
        "obj",
        determiner=rng.choice(("a", "the")),
    )
    topic = prepositional_phrase(
        rng.choice(("on", "about")), "Topic", thing_phrase(rng, rng.choice(domain.frames), ""), "nmod"
    )
    return with_more(verb, with_more(report, topic))


def _is_described(rng: Random, domain: Domain) -> Node:
    frame = rng.choice(domain.frames)
    subject = noun_phrase(
        rng, rng.choice(frame.objects), "nsubj", determiner="the", plural=rng.random() < 0.3
    )
    return copular_clause(
        with_more(subject, place_phrase(rng, domain, "nmod")), adjective_phrase(rng, frame.adjectives)
    )


def _acts_and_also(rng: Random, domain: Domain) -> Node:
    person = person_phrase(rng, domain)
    return event_clause(rng, domain, subject=with_more(person, _relative(rng, domain, person)), tense="past")


def _relative(rng: Random, domain: Domain, person: Node) -> Node:
    who = Node("who", "PRON", "nsubj", number=person.number)
    return event_clause(rng, domain, relation="acl:relcl", tense="past", subject=who)


_PLAIN = (
    *(
        _acts,
        _acts,
        _acts,
        _acts_after_opening,
        _acts_after_opening,
        _proceeds,
        _proceeds,
        _proceeds,
        _proceeds,
        _habit,
        _passive,
    ),
    *(_stays, _acts_while, _acts_twice, _said, _intends, _shows, _talks, _finishes_report, _is_described),
    _acts_and_also,
)


# Sentences that express a sentiment


def _does_well_or_badly(rng: Random, domain: Domain, mood: Mood) -> Node:
    if rng.random() < 0.5:
        return event_clause(
            rng, domain, adjective=_rating(rng, mood.thing_adjectives), num_adjuncts=rng.choice((0, 1))
        )
    return event_clause(rng, domain, manner=_manner(rng, mood), num_adjuncts=rng.choice((0, 1)))


def _rating(rng: Random, words: tuple[str, ...]) -> Node:
    return adjective_phrase(rng, words, intensified=0.3)


def _manner(rng: Random, mood: Mood) -> Node:
    return Node(rng.choice(mood.manners), "ADV", "advmod")


def _thing_is(rng: Random, domain: Domain, mood: Mood) -> Node:
    subject = _the_thing(rng, domain)
    draw = rng.random()
    if draw < 0.2:
        aspect = noun_phrase(rng, rng.choice(lexicon.ASPECTS), "nsubj", determiner="the")
        subject = with_more(aspect, prepositional_phrase("of", "Whole", subject, "nmod"))
    elif draw < 0.6:
        subject = with_more(subject, place_phrase(rng, domain, "nmod"))
    predicate = _rating(rng, mood.thing_adjectives)
    if rng.random() < 0.2:
        second = adjective_phrase(rng, mood.thing_adjectives)._replace(
            relation="conj", left=(Node("and", "CCONJ", "cc"),)
        )
        predicate = with_more(predicate, second)
    return copular_clause(subject, predicate)


def _the_thing(rng: Random, domain: Domain) -> Node:
    noun = rng.choice(rng.choice(domain.frames).objects)
    return noun_phrase(rng, noun, "nsubj", determiner="the", plural=rng.random() < 0.3)


def _person_is(rng: Random, domain: Domain, mood: Mood) -> Node:
    subject = person_phrase(rng, domain)
    more = _relative(rng, domain, subject) if rng.random() < 0.6 else place_phrase(rng, domain, "nmod")
    return copular_clause(with_more(subject, more), _rating(rng, mood.people_adjectives))


def _feels(rng: Random, domain: Domain, mood: Mood) -> Node:
    clause = copular_clause(person_phrase(rng, domain), _rating(rng, mood.feelings))
    if rng.random() < 0.4:
        topic = prepositional_phrase("about", "Topic", thing_phrase(rng, rng.choice(domain.frames), ""))
        return with_more(clause, topic)
    return with_more(clause, marked(event_clause(rng, domain, tense="past"), "because"))


def _likes(rng: Random, domain: Domain, mood: Mood) -> Node:
    subject = bystander_phrase(rng) if rng.random() < 0.6 else person_phrase(rng, domain)
    frame = rng.choice(domain.frames)
    thing = thing_phrase(rng, frame, "obj")
    draw = rng.random()
    if draw < 0.4:
        thing = with_more(thing, place_phrase(rng, domain, "nmod"))
    elif draw < 0.8:
        maker = person_phrase(rng, domain)
        clause = verb_group(rng.choice(frame.verbs), maker, "past", "acl:relcl")
        clause = clause._replace(left=(Node("that", "PRON", "obj"), *clause.left))
        thing = with_more(thing, clause)
    return with_more(verb_group(rng.choice(mood.verbs), subject, "past"), thing)


def _is_done_well_or_badly(rng: Random, domain: Domain, mood: Mood) -> Node:
    return _passive(rng, domain, _manner(rng, mood))


def _is_verdict(rng: Random, domain: Domain, mood: Mood) -> Node:
    subject = noun_phrase(
        rng, rng.choice(rng.choice(domain.frames).objects), "nsubj", determiner=rng.choice(("the", "this"))
    )
    if rng.random() < 0.5:
        subject = with_more(subject, place_phrase(rng, domain, "nmod"))
    verdict = noun_phrase(
        rng, rng.choice(mood.verdicts), "root", determiner="a", adjective=_maybe_complete(rng)
    )
    if rng.random() < 0.4:
        verdict = with_more(
            verdict, prepositional_phrase("for", "Beneficiary", person_phrase(rng, domain), "nmod")
        )
    return copular_clause(subject, verdict)


def _maybe_complete(rng: Random) -> Node | None:
    return adjective_phrase(rng, ("complete", "real", "total", "true")) if rng.random() < 0.5 else None


def _fortunately(rng: Random, domain: Domain, mood: Mood) -> Node:
    clause = event_clause(rng, domain, tense=rng.choice(("past", "perfect")), num_adjuncts=rng.choice((0, 1)))
    return fronted(clause, Node(rng.choice(mood.stances), "ADV", "advmod"))


def _is_said_to_be(rng: Random, domain: Domain, mood: Mood) -> Node:
    return _saying(rng, _thing_is(rng, domain, mood))


def _there_was(rng: Random, domain: Domain, mood: Mood) -> Node:
    thing = noun_phrase(
        rng,
        rng.choice(rng.choice(domain.frames).objects),
        "nsubj",
        determiner="a",
        adjective=_rating(rng, mood.thing_adjectives),
    )
    return _exists(thing, rng.choice((place_phrase(rng, domain), time_phrase(rng))))


def _intends_well_or_badly(rng: Random, domain: Domain, mood: Mood) -> Node:
    person = person_phrase(rng, domain, adjective=_rating(rng, mood.people_adjectives))
    return with_more(
        verb_group(rng.choice(("want", "decide", "try")), person, "past"), _infinitive(rng, domain)
    )


def _ends_well_or_badly(rng: Random, domain: Domain, mood: Mood) -> Node:
    main = copular_clause(_the_thing(rng, domain), _rating(rng, mood.thing_adjectives))
    mark = rng.choice(("before", "because", "after"))
    clause = marked(event_clause(rng, domain, tense="past"), mark)
    return fronted(main, clause) if mark != "because" else with_more(main, clause)


_RATED = (
    *(_does_well_or_badly, _does_well_or_badly, _thing_is, _thing_is, _person_is, _feels, _likes, _likes),
    *(_is_done_well_or_badly, _is_verdict, _fortunately, _is_said_to_be, _there_was, _intends_well_or_badly),
    _ends_well_or_badly,
)


# Short sentences on what was said before


def _it_was(rng: Random, mood: Mood) -> Node:
    return copular_clause(_it(rng), _rating(rng, mood.thing_adjectives))


def _it(rng: Random) -> Node:
    if rng.random() < 0.6:
        return Node("it", "PRON", "nsubj")
    return noun_phrase(rng, rng.choice(("result", "evening", "day")), "nsubj", determiner="the")


def _it_was_a(rng: Random, mood: Mood) -> Node:
    return copular_clause(
        _it(rng),
        noun_phrase(rng, rng.choice(mood.verdicts), "root", determiner="a", adjective=_maybe_complete(rng)),
    )


def _someone_liked_it(rng: Random, mood: Mood) -> Node:
    it = Node("it", "PRON", "obj")
    subject = rng.choice((bystander_phrase(rng), Node("everyone", "PRON", "nsubj")))
    return with_more(verb_group(rng.choice(mood.verbs), subject, "past"), it)


def _someone_felt(rng: Random, mood: Mood) -> Node:
    subject = rng.choice((bystander_phrase(rng), Node("everyone", "PRON", "nsubj")))
    return copular_clause(subject, _rating(rng, mood.feelings))


_REACTIONS = (_it_was, _it_was_a, _someone_liked_it, _someone_felt)
