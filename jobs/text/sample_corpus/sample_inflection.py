"""How the words of the sample corpus inflect: plurals, verb forms and articles, for its own lexicon only."""

MASS_NOUNS = frozenset(
    {
        "pasta",
        "rice",
        "bread",
        "garlic",
        "cabbage",
        "beef",
        "lamb",
        "bacon",
        "turkey",
        "dough",
        "broth",
        "money",
    }
    | {
        "cash",
        "capital",
        "revenue",
        "gravity",
        "radiation",
        "debt",
        "rent",
        "batter",
        "salmon",
        "custard",
        "syrup",
    }
)
"""Nouns without a plural or an indefinite article."""

_IRREGULAR_PLURALS = {
    "man": "men", "woman": "women", "congressman": "congressmen", "shelf": "shelves", "nebula": "nebulae",
    "spacecraft": "spacecraft", "potato": "potatoes", "tomato": "tomatoes", "spectrum": "spectra",
    "knife": "knives",
}  # fmt: skip

_IRREGULAR_VERBS = {
    "throw": ("threw", "thrown"), "catch": ("caught", "caught"), "shoot": ("shot", "shot"),
    "hit": ("hit", "hit"), "strike": ("struck", "struck"), "outrun": ("outran", "outrun"),
    "run": ("ran", "run"), "eat": ("ate", "eaten"), "buy": ("bought", "bought"), "sell": ("sold", "sold"),
    "lend": ("lent", "lent"), "pay": ("paid", "paid"), "withdraw": ("withdrew", "withdrawn"),
    "rise": ("rose", "risen"), "spin": ("spun", "spun"), "sing": ("sang", "sung"), "lead": ("led", "led"),
    "write": ("wrote", "written"), "read": ("read", "read"), "find": ("found", "found"),
    "build": ("built", "built"), "drive": ("drove", "driven"), "wear": ("wore", "worn"),
    "sew": ("sewed", "sewn"), "feed": ("fed", "fed"), "ride": ("rode", "ridden"), "sit": ("sat", "sat"),
    "sleep": ("slept", "slept"), "stand": ("stood", "stood"), "speak": ("spoke", "spoken"),
    "show": ("showed", "shown"), "say": ("said", "said"), "think": ("thought", "thought"),
    "know": ("knew", "known"),
}  # fmt: skip
"""Simple past and past participle."""

_DOUBLING = frozenset(
    {
        "jog",
        "chop",
        "stir",
        "map",
        "scan",
        "strum",
        "hum",
        "stop",
        "trim",
        "regret",
        "spin",
        "run",
        "hit",
        "sit",
    }
    | {"outrun", "transfer"}
)
"""Verbs whose last consonant doubles before -ed and -ing."""


def plural_of(noun: str) -> str:
    """The plural of a countable noun."""
    return _IRREGULAR_PLURALS.get(noun) or _with_s(noun)


def third_person_of(verb: str) -> str:
    """The form after "she"."""
    return _with_s(verb)


def past_of(verb: str) -> str:
    """The simple past."""
    return _IRREGULAR_VERBS[verb][0] if verb in _IRREGULAR_VERBS else _with_ed(verb)


def participle_of(verb: str) -> str:
    """The past participle."""
    return _IRREGULAR_VERBS[verb][1] if verb in _IRREGULAR_VERBS else _with_ed(verb)


def gerund_of(verb: str) -> str:
    """The form in -ing."""
    if verb in _DOUBLING:
        return verb + verb[-1] + "ing"
    if verb.endswith("e") and not verb.endswith("ee"):
        return verb[:-1] + "ing"
    return verb + "ing"


def article_before(word: str) -> str:
    """ "a" or "an", by the sound that the word begins with."""
    if word.startswith(("uni", "use")):
        return "a"
    return "an" if word[0] in "aeiou" or word.startswith("hour") else "a"


def _with_s(word: str) -> str:
    if word.endswith(("s", "x", "z", "ch", "sh")):
        return word + "es"
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + "s"


def _with_ed(verb: str) -> str:
    if verb in _DOUBLING:
        return verb + verb[-1] + "ed"
    if verb.endswith("e"):
        return verb + "d"
    if verb.endswith("y") and verb[-2] not in "aeiou":
        return verb[:-1] + "ied"
    return verb + "ed"
