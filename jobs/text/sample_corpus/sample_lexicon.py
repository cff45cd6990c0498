"""The words of the sample corpus: a domain for each topic, an everyday domain, and a mood for each sentiment.

No two domains share a content word, and no domain shares one with a mood: a word tells one thing at most.
"""

from dataclasses import dataclass

Phrase = tuple[str, str, str]
"""Role, preposition and noun, as ("Locus", "in", "stadium")."""


@dataclass(frozen=True)
class Frame:
    """Transitive verbs with the nouns, adjectives and instruments that go with all of them."""

    verbs: tuple[str, ...]
    objects: tuple[str, ...]
    adjectives: tuple[str, ...]
    instruments: tuple[str, ...] = ()


@dataclass(frozen=True)
class Process:
    """Subjects with the intransitive verbs and the prepositional phrases that go with all of them."""

    subjects: tuple[str, ...]
    verbs: tuple[str, ...]
    phrases: tuple[Phrase, ...]


@dataclass(frozen=True)
class Domain:
    """What a text may be about."""

    people: tuple[str, ...]
    people_adjectives: tuple[str, ...]
    frames: tuple[Frame, ...]
    processes: tuple[Process, ...]
    places: tuple[Phrase, ...]

    def words_by_tag(self) -> dict[str, frozenset[str]]:
        """The content words in their base form: keys NOUN, VERB and ADJ."""
        phrases = self.places + tuple(phrase for process in self.processes for phrase in process.phrases)
        nouns = {*self.people, *(noun for _, _, noun in phrases)}
        verbs: set[str] = set()
        adjectives = set(self.people_adjectives)
        for frame in self.frames:
            nouns.update(frame.objects, frame.instruments)
            verbs.update(frame.verbs)
            adjectives.update(frame.adjectives)
        for process in self.processes:
            nouns.update(process.subjects)
            verbs.update(process.verbs)
        return {"NOUN": frozenset(nouns), "VERB": frozenset(verbs), "ADJ": frozenset(adjectives)}


@dataclass(frozen=True)
class Mood:
    """What a sentiment is said with."""

    thing_adjectives: tuple[str, ...]
    people_adjectives: tuple[str, ...]
    feelings: tuple[str, ...]
    manners: tuple[str, ...]
    stances: tuple[str, ...]
    verbs: tuple[str, ...]
    verdicts: tuple[str, ...]

    def words(self) -> frozenset[str]:
        """Every word of the mood in its base form."""
        return frozenset(
            self.thing_adjectives
            + self.people_adjectives
            + self.feelings
            + self.manners
            + self.stances
            + self.verbs
            + self.verdicts
        )


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _frame(verbs: str, objects: str, adjectives: str, instruments: str = "") -> Frame:
    return Frame(_words(verbs), _words(objects), _words(adjectives), _words(instruments))


def _phrases(role: str, *groups: str) -> tuple[Phrase, ...]:
    """Each group is a preposition and the nouns it takes in this role."""
    return tuple((role, group.split()[0], noun) for group in groups for noun in group.split()[1:])


DOMAIN_BY_TOPIC = {
    "sports": Domain(
        people=_words(
            "coach player captain striker goalkeeper athlete runner swimmer boxer cyclist quarterback "
            "defender midfielder referee champion rookie teammate wrestler goalie footballer"
        ),
        people_adjectives=_words("athletic muscular agile sweaty retired professional"),
        frames=(
            _frame(
                "play attend host dominate replay",
                "match game tournament championship marathon playoff derby rematch semifinal",
                "competitive international regional annual seasonal",
            ),
            _frame(
                "kick throw catch shoot block intercept",
                "ball penalty rebound",
                "fast slow bouncing low",
            ),
            _frame(
                "hit strike smash hurl", "ball puck shuttlecock", "curving high swift", "racket bat paddle"
            ),
            _frame(
                "train defeat tackle outrun",
                "team squad opponent rival",
                "younger stronger amateur defensive",
            ),
            _frame("practice attempt", "sprint dribble throw tackle jump", "quick rapid acrobatic defensive"),
        ),
        processes=(
            Process(
                _words("runner striker footballer athlete boxer cyclist"),
                _words("run race sprint charge jog"),
                _phrases("Path", "across field pitch", "around track court", "along touchline")
                + _phrases("Goal", "to sideline goal", "toward net scoreboard"),
            ),
        ),
        places=_phrases(
            "Locus", "in stadium arena gym", "on field pitch court", "at club racetrack", "near goal"
        ),
    ),
    "cooking": Domain(
        people=_words("chef cook baker waiter waitress butcher bartender caterer diner apprentice"),
        people_adjectives=_words("hungry thirsty busy"),
        frames=(
            _frame(
                "cook prepare serve taste reheat season",
                "soup stew pasta curry sauce rice omelette risotto chowder casserole",
                "spicy salty creamy warm vegetarian homemade",
            ),
            _frame(
                "bake decorate frost eat",
                "cake pie bread pastry cookie muffin tart biscuit pudding",
                "sweet crisp sugary fluffy moist",
            ),
            _frame(
                "chop slice peel dice grate",
                "onion carrot potato tomato garlic cucumber cabbage apple",
                "ripe fresh juicy raw organic",
                "knife cleaver peeler",
            ),
            _frame(
                "roast grill fry marinate",
                "chicken steak salmon beef lamb sausage bacon turkey",
                "tender lean smoky",
            ),
            _frame(
                "stir mix whisk",
                "batter dough syrup broth custard",
                "thick thin sticky",
                "spoon fork ladle",
            ),
        ),
        processes=(
            Process(
                _words("soup stew sauce broth curry"),
                _words("boil simmer bubble cool thicken"),
                _phrases("Locus", "in pot pan bowl skillet", "on stove", "over flame"),
            ),
        ),
        places=_phrases(
            "Locus", "in kitchen restaurant bakery pantry", "at buffet cafe", "beside oven grill"
        ),
    ),
    "finance": Domain(
        people=_words(
            "banker trader investor broker accountant economist analyst auditor shareholder lender "
            "treasurer creditor borrower taxpayer insurer"
        ),
        people_adjectives=_words("wealthy financial frugal salaried"),
        frames=(
            _frame(
                "buy sell trade purchase value",
                "stock share bond asset currency commodity security",
                "taxable overseas undervalued liquid speculative",
            ),
            _frame(
                "approve audit revise calculate",
                "budget mortgage loan portfolio forecast dividend merger pension tax",
                "quarterly fiscal monetary commercial preliminary",
                "spreadsheet calculator ledger",
            ),
            _frame(
                "borrow lend invest deposit withdraw transfer",
                "money cash capital revenue",
                "additional surplus leftover",
            ),
            _frame("pay refinance settle", "debt invoice fee premium rent", "monthly overdue unpaid hourly"),
            _frame(
                "manage finance acquire",
                "fund company account subsidiary",
                "offshore mutual profitable corporate",
            ),
        ),
        processes=(
            Process(
                _words("price rate yield wage tariff"),
                _words("rise climb increase fluctuate decline"),
                _phrases("Locus", "in market economy sector", "on exchange")
                + _phrases("Time", "after announcement audit", "during quarter recession"),
            ),
        ),
        places=_phrases("Locus", "at bank brokerage treasury exchange", "in boardroom vault", "on market"),
    ),
    "astronomy": Domain(
        people=_words("astronomer astronaut physicist scientist stargazer cosmologist researcher cosmonaut"),
        people_adjectives=_words("weightless scientific curious"),
        frames=(
            _frame(
                "observe photograph discover detect study locate",
                "comet planet galaxy star moon nebula asteroid meteor supernova eclipse constellation",
                "distant bright faint cosmic celestial luminous icy",
                "telescope lens antenna spectrometer",
            ),
            _frame(
                "launch assemble steer pilot dock",
                "rocket satellite probe shuttle spacecraft rover capsule",
                "lunar orbital robotic unmanned reusable",
            ),
            _frame(
                "compute simulate predict",
                "orbit trajectory gravity radiation spectrum wavelength velocity",
                "planetary gravitational magnetic infrared stellar",
                "equation simulation",
            ),
            _frame(
                "explore map survey scan",
                "crater atmosphere surface ring nebula",
                "barren rocky dusty volcanic",
            ),
        ),
        processes=(
            Process(
                _words("comet asteroid meteor satellite spacecraft"),
                _words("drift glow travel orbit spin vanish"),
                _phrases("Path", "through atmosphere sky", "past moon planet")
                + _phrases("Locus", "above horizon", "over observatory planetarium")
                + _phrases("Goal", "toward sun"),
            ),
        ),
        places=_phrases("Locus", "at observatory planetarium", "in laboratory dome", "near spaceport"),
    ),
    "music": Domain(
        people=_words(
            "singer pianist guitarist drummer violinist composer conductor musician soloist bassist "
            "cellist organist rapper vocalist"
        ),
        people_adjectives=_words("musical classical baroque"),
        frames=(
            _frame(
                "sing compose rehearse record perform arrange chant whistle",
                "song melody symphony sonata ballad anthem hymn concerto chorus lullaby",
                "melodic acoustic choral orchestral lyrical loud soft",
            ),
            _frame("tune strum amplify pluck", "guitar violin cello harp banjo", "electric antique polished"),
            _frame(
                "conduct accompany audition",
                "orchestra choir band ensemble quartet",
                "philharmonic symphonic vocal",
            ),
            _frame(
                "improvise repeat hum harmonize",
                "solo rhythm harmony refrain riff chord",
                "syncopated minor rhythmic harmonic",
                "flute saxophone clarinet trumpet piano",
            ),
            _frame(
                "release remix produce", "album single soundtrack demo", "instrumental digital psychedelic"
            ),
        ),
        processes=(
            Process(
                _words("choir band orchestra quartet singer"),
                _words("sing rehearse improvise perform"),
                _phrases("Locus", "on stage", "in studio auditorium", "at festival concert")
                + _phrases("Time", "during intermission encore"),
            ),
        ),
        places=_phrases(
            "Locus", "at concert festival opera", "in studio auditorium", "on stage", "near loudspeaker"
        ),
    ),
    "politics": Domain(
        people=_words(
            "senator minister president mayor governor diplomat lawmaker candidate ambassador congressman "
            "delegate chancellor lobbyist politician"
        ),
        people_adjectives=_words("liberal conservative republican democratic elected"),
        frames=(
            _frame(
                "draft pass enact amend repeal debate",
                "law bill amendment reform constitution ordinance",
                "federal constitutional bipartisan legislative",
            ),
            _frame(
                "lead address organize chair convene",
                "party committee rally coalition cabinet",
                "radical socialist national grassroots",
            ),
            _frame("deliver televise", "speech statement manifesto", "presidential partisan public"),
            _frame(
                "negotiate sign ratify finalize",
                "treaty ceasefire pact alliance",
                "nuclear bilateral diplomatic",
            ),
            _frame(
                "contest postpone",
                "election referendum primary vote",
                "provincial electoral municipal parliamentary presidential statewide",
            ),
        ),
        processes=(
            Process(
                _words("senator delegate candidate governor diplomat"),
                _words("campaign vote testify protest"),
                _phrases("Locus", "in senate parliament congress", "at convention summit")
                + _phrases("Time", "before election referendum"),
            ),
        ),
        places=_phrases(
            "Locus", "in parliament senate congress", "at summit convention embassy", "near capitol"
        ),
    ),
}

EVERYDAY = Domain(
    people=_words(
        "neighbor driver teacher clerk student farmer librarian carpenter gardener visitor tourist man woman "
        "boy girl guard secretary plumber tailor mechanic courier painter caretaker receptionist messenger"
    ),
    people_adjectives=_words("elderly bearded tall local freckled"),
    frames=(
        _frame("open close lock", "door gate drawer cupboard trunk", "wooden narrow heavy rusty", "key"),
        _frame("carry lift move pack", "box bag suitcase basket crate parcel", "square brown empty"),
        _frame("write copy fold", "letter note list postcard", "brief yellow handwritten", "pencil pen"),
        _frame("read find collect", "newspaper book magazine notebook", "slim illustrated"),
        _frame("paint", "wall fence bench roof", "white gray wide", "brush"),
        _frame("build measure", "shelf cabin staircase", "wide sturdy", "hammer ruler"),
        _frame("park wash repair", "car van truck tractor bicycle", "blue red black"),
        _frame("water", "tree hedge lawn bush flower", "leafy green", "hose bucket"),
        _frame("plant", "tree hedge bush flower", "purple leafy green", "shovel rake"),
        _frame("wear iron sew", "coat shirt sweater scarf jacket hat", "woolen striped dark"),
        _frame("feed follow", "dog cat horse goat duck", "spotted white brown"),
    ),
    processes=(
        Process(
            _words("tourist student neighbor teacher farmer boy girl"),
            _words("walk ride drive hurry"),
            _phrases("Goal", "to village library school office", "into town forest")
            + _phrases("Path", "along river road", "across bridge meadow", "through tunnel park")
            + _phrases("Source", "from station village harbor"),
        ),
        Process(
            _words("bus tram van truck taxi"),
            _words("stop wait turn arrive"),
            _phrases("Locus", "at corner station", "near church bridge", "behind school", "by lake"),
        ),
        Process(
            _words("cat dog bird duck"),
            _words("sit sleep stand"),
            _phrases("Locus", "on porch roof bench", "under table tree", "behind shed", "beside pond"),
        ),
    ),
    places=_phrases(
        "Locus",
        "in hallway garden office library village attic basement yard",
        "at station corner school",
        "on street porch balcony platform",
        "near lake church harbor",
        "behind shed garage barn",
        "beside path river",
        "by window pond",
        "under bridge",
    ),
)

MOOD_BY_SENTIMENT = {
    "positive": Mood(
        thing_adjectives=_words(
            "wonderful brilliant superb excellent fantastic great amazing lovely splendid magnificent "
            "marvelous outstanding impressive delightful remarkable perfect terrific fabulous pleasant "
            "glorious stunning beautiful fine good incredible fascinating"
        ),
        people_adjectives=_words(
            "wonderful brilliant superb excellent fantastic great amazing outstanding impressive remarkable "
            "charming gifted talented clever lovely kind generous skillful"
        ),
        feelings=_words("happy thrilled delighted pleased proud grateful satisfied impressed cheerful glad"),
        manners=_words(
            "beautifully brilliantly perfectly wonderfully superbly gracefully skillfully elegantly "
            "splendidly cleverly flawlessly admirably"
        ),
        stances=_words("happily fortunately luckily thankfully"),
        verbs=_words("love enjoy admire adore praise applaud appreciate celebrate cherish recommend"),
        verdicts=_words("delight triumph joy pleasure success masterpiece treasure miracle blessing"),
    ),
    "negative": Mood(
        thing_adjectives=_words(
            "terrible awful horrible dreadful poor bad disappointing miserable pathetic annoying "
            "frustrating useless ridiculous appalling lousy nasty unpleasant depressing embarrassing ugly "
            "dull boring worthless mediocre tedious"
        ),
        people_adjectives=_words(
            "terrible awful horrible dreadful poor bad disappointing hopeless pathetic clumsy careless "
            "useless lazy rude arrogant incompetent sloppy selfish"
        ),
        feelings=_words(
            "unhappy disappointed annoyed bored disgusted angry upset frustrated ashamed furious"
        ),
        manners=_words(
            "badly poorly terribly awfully horribly carelessly clumsily miserably dreadfully hopelessly "
            "pathetically ineptly"
        ),
        stances=_words("sadly unfortunately regrettably unhappily"),
        verbs=_words("hate dislike despise detest regret condemn resent criticize mock loathe"),
        verdicts=_words(
            "disaster failure mess disgrace nightmare shame embarrassment catastrophe disappointment"
        ),
    ),
}

NAMES = _words(
    "Anna Peter Maria David Helen Thomas Laura Martin Susan Robert Emma Daniel Alice Henry Julia George Nina "
    "Oscar Sarah Paul Ruth Victor Clara Simon"
)

TIMES: tuple[Phrase, ...] = (
    _phrases("Time", "on Monday Tuesday Wednesday Thursday Friday Saturday Sunday")
    + _phrases("Time", "in March April May June October November", "at noon midnight dawn")
    + _phrases("Time", "before breakfast lunch", "after dinner sunset")
)
"""Times that take no article."""

PARTS_OF_TIME: tuple[Phrase, ...] = _phrases(
    "Time", "in morning evening afternoon", "during winter week holiday"
) + (_phrases("Time", "before weekend", "after storm", "on weekend"))
"""Times that take an article."""

SPANS = _words("hour minute day")

ASPECTS = _words("quality look condition presentation description history")
"""What a thing of any domain may have, as in "the quality of the soup"."""

RELATIVES = _words("sister brother uncle aunt cousin neighbor colleague teacher")
"""Everyday people who belong to someone: "my sister"."""

SIZES = _words("old new small large little big")
