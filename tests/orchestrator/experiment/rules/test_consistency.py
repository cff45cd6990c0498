"""Parts of an experiment that do not go together are refused where they are written."""

import pytest

LAYERS = (
    "must be last, all, first-N, last-N, a whole number of at least 1 or a list, each item a whole number of "
    "at least 1"
)


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        ("recipe: {pretraining: x}", "recipe.pretraining: there is no pretraining 'x'; known: none, within"),
        (
            "grid: {pretraining: [none, withn]}",
            "grid.pretraining.1: there is no pretraining 'withn' (did you mean 'within'?); "
            "known: none, within",
        ),
        (
            "search: {space: {pretraining: {choices: [none, x]}}, trials: 1}",
            "search.space.pretraining.choices.1: there is no pretraining 'x'; known: none, within",
        ),
        (
            "measures: {control: true}",
            "measures.control: control tasks have a random label per word: "
            "name a task of annotated sentences",
        ),
        (
            "measures: {control: true, probe: false}",
            "measures.control: there is no probe to control: must be false if probe is false",
        ),
        (
            "measures: {random_encoder: true, probe: false}",
            "measures.random_encoder: nothing is measured on the random encoder: "
            "must be false without probe and "
            "description_length",
        ),
        (
            "probing: [{task: random, data: {source: sample, target: topic}}]",
            "probing.0.task: 'random' is reserved for the randomly initialised encoder",
        ),
        ("recipe: {encoder: x}", "recipe.encoder: there is no encoder 'x'; known: main"),
        (
            "encoders: {main: some/other}",
            "encoders.main: the name 'main' is reserved for the experiment's encoder: choose another",
        ),
        (
            "encoders: {other: {revision: abc}}",
            "encoders.other: names no source: give folder, hub, package, mlflow or scratch",
        ),
        (
            "grid: {epochs: [1, 2]}\nexclude: [{epochs: [3]}]",
            "exclude.0.epochs.0: 3 is not under grid.epochs",
        ),
        (
            "grid: {epochs: [1, 2]}\nexclude: [{warmup: [0.1]}]",
            "exclude.0.warmup: is not under grid: there is nothing to exclude",
        ),
        (
            "recipe: {lora_alpha: 8}",
            "recipe.lora_alpha: has no effect without adapters: set lora_rank, or leave it out",
        ),
        (
            "grid: {lora_dropout: [0.1]}",
            "grid.lora_dropout.0: has no effect without adapters: set lora_rank, or leave it out",
        ),
        (
            "recipe: {features: last, pooling: pooler}",
            "recipe.pooling: frozen features are states of layers, without the pooler: must be cls, mean or "
            "last",
        ),
        (
            f"experiment: {'x' * 251}",
            "experiment: a name must have at most 250 letters, and this one has 251",
        ),
        (
            "tasks: [{task: a, data: {source: files, train: a, test: b}, sample: {validation: 9}}]",
            "tasks.0.sample.validation: these data have no validation split, it is sampled from train: "
            "leave it out",
        ),
        ("exclude: [{}]", "exclude.0: names no factor: it would exclude the whole grid"),
        ("grid: {epochs: [1, 2]}\nexclude: [{epochs: [1, 2]}]", "exclude: excludes the whole grid"),
        ("grid: {epochs: [1, 2, 1]}", "grid.epochs.2: duplicate value 1"),
        ("grid: {layer_decay: [1, 1.0]}", "grid.layer_decay.1: duplicate value 1.0"),
        ("seeds: [0, 0]", "seeds.1: duplicate value 0"),
        (
            "search: {space: {epochs: {choices: [1, 1]}}, trials: 1}",
            "search.space.epochs.choices.1: duplicate value 1",
        ),
        (
            "search: {space: {}, trials: 1}",
            "search.space: names no factor: give at least one, such as learning_rate",
        ),
        (
            "search: {space: {epochs: {low: 1, high: 2}}, trials: 1}\ngrid: {epochs: [1]}",
            "search.space.epochs: is under grid too: enumerate it there or search it here",
        ),
        (
            "search: {space: {pooling: {low: 1, high: 2}}, trials: 1}",
            "search.space.pooling: pooling is not a number: write choices instead of low and high",
        ),
        (
            "search: {space: {epochs: {low: 1.5, high: 2}}, trials: 1}",
            "search.space.epochs.low: epochs must be a whole number of at least 1, not 1.5",
        ),
        (
            "search: {space: {layer_decay: {low: 0.5, high: 1.5}}, trials: 1}",
            "search.space.layer_decay.high: layer_decay must be a number above 0 and at most 1, not 1.5",
        ),
        (
            "search: {space: {epochs: {low: 2, high: 2}}, trials: 1}",
            "search.space.epochs.high: must be above low, which is 2, not 2",
        ),
        (
            "search: {space: {warmup: {low: 0, high: 0.5, log: true}}, trials: 1}",
            "search.space.warmup.low: must be above 0 on a logarithmic scale, not 0",
        ),
        (
            "search: {space: {pooling: {choices: [cls, max]}}, trials: 1}",
            'search.space.pooling.choices.1: pooling must be one of cls, mean, last, pooler, not "max"',
        ),
        (
            "tasks: [trec, {task: trec, data: {source: hub, name: a}}]",
            "tasks.1.task: duplicate task name 'trec'; the other is tasks.0",
        ),
        (
            "recipe: {head_tokens: 128}",
            "recipe.head_tokens: must be below max_length, which is 128, not 128",
        ),
        (
            "grid: {head_tokens: [16, 40], max_length: [32, 64]}",
            "grid.head_tokens.1: must be below max_length, which is 32, not 40",
        ),
        (
            "pretraining: {within: {after: x}, y: {}}",
            "pretraining.within.after: there is no pretraining 'x'; known: y",
        ),
        (
            "pretraining: {within: {after: a}, a: {after: b}, b: {after: a}}",
            "pretraining.a.after: is a cycle: a after b after a",
        ),
        (
            "pretraining: {within: {corpus: [trec, trek]}}",
            "pretraining.within.corpus.1: there is no task or corpus 'trek' (did you mean 'trec'?); "
            "known: trec",
        ),
        (
            "pretraining: {within: {corpus: [trec, trec]}}",
            "pretraining.within.corpus.1: duplicate corpus trec",
        ),
        (
            "pretraining: {within: {corpus: in-domain}}\ngrid: {pretraining: [within]}",
            "pretraining.within.corpus: in-domain needs to know the domain of each task: give domain in "
            "trec, as domain: sentiment",
        ),
        (
            "pretraining: {within: {steps: 9, snapshots: [9, 10]}}",
            "pretraining.within.snapshots.1: must be at most steps, which is 9, not 10",
        ),
        ("pretraining: {within: {snapshots: [9, 9]}}", "pretraining.within.snapshots.1: duplicate step 9"),
        (
            "grid: {pretraining: [within@20, within@10]}\npretraining: {within: {steps: 20, snapshots: [5]}}",
            "grid.pretraining.1: pretraining 'within' has no snapshot at step 10: it has within@5, "
            "within@20 (pretraining.within.snapshots)",
        ),
        (
            "recipe: {pretraining: none@5}",
            "recipe.pretraining: there is no pretraining 'none@5' (did you mean 'none'?); "
            "known: none, within",
        ),
        (
            "corpora: [{task: trec, data: {source: files, train: a.jsonl}}]",
            "corpora.0.task: duplicate task name 'trec'; the other is tasks.0",
        ),
        (
            "pretraining: {none: {steps: 2}}",
            "pretraining.none: the name 'none' is reserved for no continued pretraining: choose another",
        ),
        (
            "recipe: {epochs: 2}\nearly_stopping: {grace_period: 2}",
            "early_stopping.grace_period: nothing can be stopped early: must be below 2, the evaluations of "
            "the longest variant (epochs x evaluations_per_epoch), not 2",
        ),
        (
            "recipe: {frozen_layers: 2}\ngrid: {lora_rank: [null, 8]}",
            "recipe.frozen_layers: adapters (lora_rank) leave the encoder's weights unchanged, so must "
            "be 0, not 2",
        ),
        (
            "search: {space: {reinitialised_layers: {low: 0, high: 3}}, trials: 1}\nrecipe: {lora_rank: 8}",
            "search.space.reinitialised_layers.high: adapters (lora_rank) leave the encoder's weights "
            "unchanged, so must be 0, not 3",
        ),
        (
            "recipe: {reinitialised_layers: 1}\ngrid: {frozen_layers: [0, all]}",
            "recipe.reinitialised_layers: with frozen_layers: all, "
            "re-initialised layers would never be trained: must be 0, "
            "not 1",
        ),
        (
            "recipe: {optimizer: bert-adam}\ngrid: {schedule: [linear, cosine]}",
            "grid.schedule.1: bert-adam has a linear schedule of its own: must be linear, not cosine",
        ),
        (
            "search: {space: {frozen_layers: {choices: [0, some]}}, trials: 1}",
            "search.space.frozen_layers.choices.1: frozen_layers must be a whole number of at least 0 or "
            "'all', not \"some\"",
        ),
        (
            "grid: {pooling: [cls, pooler], layers: [last, 3]}",
            "grid.pooling.1: the pooler reads only the last layer: must be cls, mean or last with layers 3",
        ),
        (
            "tasks: [{task: t, data: {source: sample, target: topic}, columns: {text_pair: b}}]",
            "tasks.0.columns.text_pair: the generator's documents are single texts: leave it out",
        ),
        (
            "tasks: [{task: t, data: {source: hub, name: a}, columns: {text: b, text_pair: b}}]",
            "tasks.0.columns.text_pair: is the same column as text, 'b'",
        ),
        ("recipe: {layers: first-0}", f"recipe.layers: {LAYERS}, not the text 'first-0'"),
        ("grid: {layers: [[1, 0]]}", "grid.layers.0.1: must be a whole number of at least 1, not 0"),
        (
            "recipe: {layers: [5, x]}",
            "recipe.layers.1: must be a whole number of at least 1, not the text 'x'; put several "
            "values under grid",
        ),
        (
            "recipe: {frozen_layers: -1}",
            "recipe.frozen_layers: must be a whole number of at least 0 or 'all', not -1",
        ),
        (
            "encoder: {scratch: {architecture: bert, layers: 2, width: 32, heads: 5, tokenizer: t}}",
            "encoder.scratch.heads: must divide the width, which is 32, not 5",
        ),
        (
            "encoder: {revision: main}",
            "encoder: names no source: give folder, hub, package, mlflow or scratch",
        ),
    ],
)
def test_a_contradiction_is_told(folder, lines, fault):
    base = {
        "experiment": "experiment: x",
        "encoder": "encoder: some/encoder",
        "tasks": "tasks: [trec]",
        "pretraining": "pretraining: {within: {steps: 2}}",
    }
    changed = {line.split(":")[0]: line for line in lines.splitlines()}
    told = folder.faults("\n".join({**base, **changed}.values()))
    assert len(told) == 1
    assert told[0].split(": ", 1)[1] == fault


@pytest.mark.parametrize("override", ["grid.epochs=[1,3]", "grid.evaluations_per_epoch=[2]"])
def test_early_stopping_needs_only_some_variant_that_is_long_enough(folder, sound, override):
    text = f"{sound.replace('epochs: 3', 'epochs: 1')}early_stopping: {{grace_period: 1}}\n"
    assert "nothing can be stopped early" in folder.faults(text)[0]
    assert folder.read(text, override).early_stopping.grace_period == 1


def test_contradictions_are_told_beside_other_faults(folder):
    text = "encoder: {}\nrecipe: {epochs: 0}\nseeds: [1, 1]\ntasks: [trek]\n"
    assert [line.split(": ")[1] for line in folder.faults(text)] == [
        "experiment",
        "encoder",
        "recipe.epochs",
        "seeds.1",
        "tasks.0",
    ]


def test_no_contradiction_is_told_that_only_follows_from_another_fault(folder):
    text = """\
experiment: x
encoder: {hubb: a}
tasks: [trec]
recipe: {epochs: ten}
search: {space: {learning_rate: {low: abc, high: 1}}, trials: 1}
early_stopping: {grace_period: 5}
"""
    assert [line.split(": ")[1] for line in folder.faults(text)] == [
        "encoder.hubb",
        "recipe.epochs",
        "search.space.learning_rate.low",
    ]


def test_a_searched_word_in_place_of_a_number_is_told_and_not_compared(folder, sound):
    text = f"""{sound}\
recipe: {{head_tokens: 20}}
search: {{space: {{epochs: {{choices: [2, a]}}, max_length: {{choices: [b, c]}}}}, trials: 1}}
early_stopping: {{}}
"""
    text = text.replace("recipe:\n  learning_rate: 2e-5\n  epochs: 3\n", "")
    assert [line.split(": ")[1] for line in folder.faults(text)] == [
        "search.space.epochs.choices.1",
        "search.space.max_length.choices.0",
        "search.space.max_length.choices.1",
    ]


def test_a_search_without_anything_is_told_once_for_each_key_it_lacks(folder, sound):
    assert [line.split(": ")[1] for line in folder.faults(f"{sound}search: {{}}\n")] == [
        "search.space",
        "search.trials",
    ]


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (
            "multi_task: {joint: {tasks: [trek], steps: 2}}",
            "multi_task.joint.tasks.0: there is no task 'trek' (did you mean 'trec'?); known: trec",
        ),
        (
            "multi_task: {joint: {tasks: [trec, trec], steps: 2}}",
            "multi_task.joint.tasks.1: duplicate task trec",
        ),
        (
            "multi_task: {within: {steps: 2}}",
            "multi_task.within: the name 'within' is taken by pretraining: choose another",
        ),
        (
            "multi_task: {joint: {}}",
            "multi_task.joint: neither epochs nor steps is given: set one of them",
        ),
        (
            "multi_task: {joint: {epochs: 1, steps: 2}}",
            "multi_task.joint: epochs and steps are both given: set one of them",
        ),
        (
            "multi_task: {joint: {steps: 2, after: witin}}",
            "multi_task.joint.after: there is no pretraining 'witin' (did you mean 'within'?); known: within",
        ),
        (
            "tasks: [trec, {task: other, data: {source: hub, name: a}}]\n"
            "multi_task: {joint: {steps: 2, after: within}}",
            "multi_task.joint.after: 'within' reads the texts of one task, not of 2: name one under tasks",
        ),
        (
            "multi_task: {joint: {steps: 2, head_tokens: 40, max_length: 32}}",
            "multi_task.joint.head_tokens: must be below max_length, which is 32, not 40",
        ),
        (
            "multi_task: {joint: {steps: 2}}\ngrid: {pretraining: [none, joined]}",
            "grid.pretraining.1: there is no pretraining 'joined' (did you mean 'joint'?); "
            "known: none, within, joint",
        ),
        (
            "recipe: {features: last, truncation: windows}",
            "recipe.features: frozen features need single texts in one sequence, but windows are read: "
            "must be null",
        ),
        (
            "recipe: {head: bilstm}",
            "recipe.head: needs frozen features, and features has null, which trains the encoder: "
            "use layers only, such as last, or exclude null with bilstm",
        ),
        (
            "grid: {head: [linear, bilstm], features: [null, last]}",
            "grid.head.1: needs frozen features, and features has null, which trains the encoder: "
            "use layers only, such as last, or exclude null with bilstm",
        ),
        (
            "search: {space: {train_size: {low: 0.5, high: 20}}, trials: 1}",
            "search.space.train_size: low and high must both be shares below 1, or both numbers of texts",
        ),
        (
            "recipe: {train_size: 1.5}",
            "recipe.train_size: must be a whole number of at least 1 or a number above 0 and below 1, "
            "not 1.5",
        ),
        (
            "recipe: {features: first-2}",
            "recipe.features: must be a whole number of at least 0 or last or last-N, not the text 'first-2'",
        ),
    ],
)
def test_a_contradiction_of_joint_training_features_or_sizes_is_told(folder, lines, fault):
    base = {
        "experiment": "experiment: x",
        "encoder": "encoder: some/encoder",
        "tasks": "tasks: [trec]",
        "pretraining": "pretraining: {within: {steps: 2}}",
    }
    changed = {line.split(":")[0]: line for line in lines.splitlines()}
    told = folder.faults("\n".join({**base, **changed}.values()))
    assert [line.split(": ", 1)[1] for line in told] == [fault]


def test_a_cell_that_is_excluded_contradicts_nothing(folder):
    lines = [
        "experiment: x",
        "encoder: some/encoder",
        "tasks: [trec]",
        "grid: {head: [linear, bilstm], features: [null, last]}",
        "exclude: [{head: [bilstm], features: [null]}]",
    ]
    folder.read("\n".join(lines))
