"""Overrides in Hydra's spelling change what a file says, or are told why they do not."""

import pytest


@pytest.mark.parametrize(
    ("override", "part", "value"),
    [
        ("recipe.learning_rate=3e-5", lambda x: x.recipe.learning_rate, 3e-5),
        ("recipe.warmup=0.2", lambda x: x.recipe.warmup, 0.2),
        ("+recipe.warmup=0.2", lambda x: x.recipe.warmup, 0.2),
        ("++recipe.epochs=5", lambda x: x.recipe.epochs, 5),
        ("recipe={epochs: 5, warmup: 0.2}", lambda x: (x.recipe.epochs, x.recipe.learning_rate), (5, 2e-5)),
        ("grid.layer_decay=[0.8]", lambda x: (x.grid.layer_decay, x.grid.pretraining[0]), ((0.8,), "none")),
        ("~recipe.epochs", lambda x: x.recipe.epochs, 3),
        ("recipe.learning_rate=null", lambda x: x.recipe.learning_rate, 2e-5),
        ("grid=null", lambda x: x.grid.layer_decay, None),
        ("~grid.layer_decay", lambda x: x.grid.layer_decay, None),
        ("tasks.0.task=other", lambda x: x.tasks[0].task, "other"),
        ("tasks.0.data={source: sample, target: topic}", lambda x: x.tasks[0].data.source, "sample"),
        ("+tasks.1={task: b, data: {source: hub, name: c}}", lambda x: len(x.tasks), 2),
        ("+pretraining.more.steps=7", lambda x: x.pretraining["more"].steps, 7),
        ("pretraining.within.steps=7", lambda x: x.pretraining["within"].steps, 7),
        ("encoder=./here", lambda x: (x.encoder.folder, x.encoder.hub), ("./here", None)),
        ("encoder.revision=abc", lambda x: (x.encoder.hub, x.encoder.revision), ("some/encoder", "abc")),
        ("description=", lambda x: x.description, ""),
        ("description=a = b", lambda x: x.description, "a = b"),
        ("early_stopping={}", lambda x: x.early_stopping.grace_period, 1),
    ],
)
def test_an_override_changes_its_key_and_keeps_the_rest(folder, sound, override, part, value):
    assert part(folder.read(sound, override)) == value


@pytest.mark.parametrize(
    ("override", "fault"),
    [
        ("recipe.learning_rate=abc", "must be a number above 0, not the text 'abc'"),
        ("recipe.learning_rat=1", "unknown key (did you mean 'learning_rate'?)"),
        ("recipe={epoch: 1}", "unknown key (did you mean 'epochs'?)"),
        ("epochs=1", "unknown key (did you mean 'recipe.epochs'?)"),
        ("+recipe.epochs=1", "'epochs' is already set: remove the + to change it"),
        (
            "~recipe.epoch",
            "there is no 'epoch' to delete (did you mean 'epochs'?): recipe has learning_rate, ",
        ),
        ("~search.trials", "there is no 'trials' to delete: search is empty"),
        (
            "pretraining.withn.steps=3",
            "there is no 'withn' under pretraining (did you mean 'within'?): it has within; "
            "+pretraining.withn... adds it",
        ),
        ("tasks.1.task=b", "tasks has one item, 0; there is no '1'"),
        ("tasks.first.task=b", "tasks has one item, 0; there is no 'first'"),
        ("recipe.epochs.more=1", "recipe.epochs is a whole number of at least 1 and has no keys"),
        (
            "grid.layer_decay=[1.0,abc]",
            "grid.layer_decay.1: must be a number above 0 and at most 1, not the text 'abc'",
        ),
        (
            "encoder=null",
            "must be a name on the Hub, a folder (./...) or a mapping with the keys folder, hub, ",
        ),
        ("tasks=[trek]", "tasks.0: there is no task 'trek' (did you mean 'trec'?); tasks has trec"),
        ("recipe.epochs", "has no value: write recipe.epochs=VALUE"),
        ("~recipe.epochs=3", "~key deletes and takes no value"),
        ("recipe..epochs=3", "is not written as key.sub=value, +key=value or ~key"),
        ("recipe.epochs=[", "cannot be read as YAML: expected a value, but found the end"),
        ("recipe.epochs=!!python/x 3", "the tag !!python/x is not allowed: "),
    ],
)
def test_a_wrong_override_is_quoted_with_its_fault(folder, sound, override, fault):
    told = folder.faults(sound, override)
    assert len(told) == 1
    assert told[0].startswith(f"override '{override}': {fault}"), told


def test_an_override_cannot_name_a_pretraining_that_is_not_there(folder, sound):
    text = sound.replace("  pretraining: [none, within]\n", "")
    assert folder.faults(text, "recipe.pretraining=wthin") == [
        "override 'recipe.pretraining=wthin': there is no pretraining 'wthin' (did you mean 'within'?); "
        "known: none, within"
    ]


def test_a_contradiction_is_laid_to_the_override_that_made_it(folder, sound):
    text = f"{sound}search: {{space: {{epochs: {{low: 2, high: 5}}}}, trials: 3}}\n"
    assert folder.faults(text, "search.space.epochs.low=6") == [
        "override 'search.space.epochs.low=6': search.space.epochs.high: must be above low, which is 6, not 5"
    ]


def test_alternatives_replace_each_other_instead_of_mixing(folder, sound):
    text = f"{sound}search: {{space: {{epochs: {{low: 2, high: 5}}}}, trials: 3}}\n"
    assert folder.read(text, "search.space.epochs={choices: [2, 4]}").search.space.epochs.choices == (2, 4)


def test_faults_of_file_and_overrides_are_told_together_the_file_first(folder, sound):
    told = folder.faults(sound.replace("epochs: 3", "epochs: 0"), "seeds=[0,0]", "nonsense=1")
    assert [line.split(": ")[0] for line in told] == [
        "x.yaml:6:11",
        "override 'nonsense=1'",
        "override 'seeds=[0,0]'",
    ]
