"""A file becomes an experiment, or all its faults are told with line and column."""

import json
import subprocess
import sys

import pytest

from layerscope.orchestrator.experiment.reading import resolved_yaml
from layerscope.orchestrator.experiment.tasks import Files
from tests.tiny import read_experiment


def test_numbers_and_words_are_those_of_yaml_1_2(folder, sound):
    experiment = folder.read(sound.replace("experiment: sound", "experiment: sound\ndescription: no"))
    assert experiment.recipe.learning_rate == 2e-5
    assert experiment.description == "no"
    assert experiment.grid.pretraining == ("none", "within")


def test_three_faults_are_reported_together_each_at_its_place(folder):
    text = """\
experiment: three
encoder: some/encoder
tasks: [trec]
recipe:
  learning_rate: fast
  epoch: 3
grid:
  layer_decay: [1.0, 1.5]
"""
    assert folder.faults(text) == [
        "x.yaml:5:18: recipe.learning_rate: must be a number above 0, not the text 'fast'",
        "x.yaml:6:3: recipe.epoch: unknown key (did you mean 'epochs'?)",
        "x.yaml:8:22: grid.layer_decay.1: must be a number above 0 and at most 1, not 1.5",
    ]


NAME = "a name (letters, digits, '_', '.', '-'; first a letter or digit)"
KEYS = "task, data, columns, sample, validation, predict, metric, positive, domain"
TASK = f"the name of a file in ../tasks or a mapping with the keys {KEYS}"


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("epochs: 1", "13:1: epochs: unknown key (did you mean 'recipe.epochs'?)"),
        ("epochs:\n  a: 1", "13:1: epochs: unknown key (did you mean 'recipe.epochs'?)"),
        ("description:", "13:1: description: must be text, not an empty value (null)"),
        ("measures: {cka: no}", "13:17: measures.cka: must be true or false, not the text 'no'"),
        (
            "measures: {probe: linaer}",
            "13:19: measures.probe: must be true or false, one of linear, mlp or a list, each item one of "
            "linear, mlp, not the text 'linaer' (did you mean 'linear'?)",
        ),
        (
            "measures: {probe: [linear, mpl]}",
            "13:28: measures.probe.1: must be one of linear, mlp, not the text 'mpl' (did you mean 'mlp'?)",
        ),
        (
            "measures: {probe: [mpl]}",
            "13:20: measures.probe.0: must be one of linear, mlp, not the text 'mpl' (did you mean 'mlp'?)",
        ),
        ("measures: {probe: []}", "13:19: measures.probe: must list at least 1 value, not 0"),
        (
            "measures: {num_test: 1.5}",
            "13:22: measures.num_test: must be a whole number of at least 1, not 1.5",
        ),
        (
            "measures: {num_test: '5'}",
            "13:22: measures.num_test: must be a whole number of at least 1, not the text '5'; "
            "write it without quotes",
        ),
        ("measures: []", "13:11: measures: must be a mapping with the keys probe, networks, "),
        (
            "search: {space: {epochs: {low: 1, high: 2}}}",
            "13:9: search.trials: is missing; it must be a whole number of at least 1",
        ),
        (
            "search: {space: {epochs: {low: 1}}, trials: 2}",
            "13:26: search.space.epochs.high: is missing; it must be a number",
        ),
        (
            "search: {space: {epochs: 3}, trials: 2}",
            "13:26: search.space.epochs: must be a mapping with the keys low, high, log or a mapping with "
            "the keys choices, not 3",
        ),
        (
            "search: {space: {pooling: {choices: [cls]}}, trials: 2}",
            "13:37: search.space.pooling.choices: must list at least 2 values, not 1",
        ),
        (
            "description: !!python/object/apply:os.getcwd []",
            "13:14: description: the tag !!python/object/apply:os.getcwd is not allowed: a value is text, a "
            "number, true, false, null, a list or a mapping",
        ),
        (
            "description: !!python/object:os.system x",
            "13:14: description: the tag !!python/object:os.system is not allowed: a value is text, a "
            "number, true, false, null, a list or a mapping",
        ),
        (
            "description: ${HOME}",
            "13:14: description: '${' is read only in paths: a task's train, test",
        ),
        ("seeds: [3]", "13:1: seeds: duplicate key, first in line 12"),
        (
            "early_stopping: {grace_period: .inf}",
            "13:32: early_stopping.grace_period: must be a finite number, not .inf",
        ),
        ("? [a]\n: 1", "13:3: a key must be a word, not a list or a mapping"),
        ("description: &a [*a]", "13:14: description.0: the alias is inside the value that it repeats"),
        ("description: !!int x", "13:14: description: 'x' is not a value of the type !!int"),
    ],
)
def test_a_fault_is_told_in_plain_words_at_its_place(folder, sound, line, fault):
    assert folder.faults(f"{sound}{line}\n")[0].startswith(f"x.yaml:{fault}")


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("experiment: sound", "", f"2:1: experiment: is missing; it must be {NAME}"),
        ("sound", "not sound", f"1:13: experiment: must be {NAME}, not the text 'not sound'"),
        ("[trec]", "trec", f"3:8: tasks: must be a list, each item {TASK}, not the text 'trec'"),
        ("[trec]", "[]", "3:8: tasks: must list at least 1 value, not 0"),
        (
            "[trec]",
            "[trek]",
            "3:9: tasks.0: there is no task 'trek' (did you mean 'trec'?); tasks has trec",
        ),
        ("[trec]", "[gone.yaml]", "3:9: tasks.0: the file gone.yaml does not exist"),
        (
            "[trec]",
            "[{task: a, data: {source: file}}]",
            "3:34: tasks.0.data.source: must be one of files, hub, sample, annotated, sample_annotations, "
            "not the text 'file' "
            "(did you mean 'files'?)",
        ),
        (
            "[trec]",
            "[{task: a, data: {target: topic}}]",
            "3:25: tasks.0.data.source: is missing; "
            "it must be one of files, hub, sample, annotated, sample_annotations",
        ),
        (
            "[trec]",
            "[{task: a, data: {source: sample, target: topik}}]",
            "3:50: tasks.0.data.target: must be one of topic, sentiment, not the text 'topik' "
            "(did you mean 'topic'?)",
        ),
        (
            "2e-5",
            "[1e-5, 2e-5]",
            "5:18: recipe.learning_rate: must be a number above 0, not a list; put several values under grid",
        ),
        (
            "[1.0, 0.9]",
            "0.9",
            "10:16: grid.layer_decay: must be a list, each item a number above 0 and at most 1, not 0.9; "
            "write [0.9]",
        ),
        ("within: {", "with in: {", f"8:3: pretraining.with in: the key must be {NAME}"),
        (
            "[0, 1]",
            "[0, -1]",
            "12:12: seeds.1: must be a whole number of at least 0 and below 4294967296, not -1",
        ),
    ],
)
def test_a_spoilt_line_is_told(folder, sound, old, new, fault):
    assert f"x.yaml:{fault}" in folder.faults(sound.replace(old, new, 1))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a:\n\tb: 1\n", "x.yaml:2:1: a tab where YAML wants spaces: indent with spaces"),
        ("a: [1, 2\nb: 3\n", "x.yaml:2:2: cannot be read as YAML: expected ',' or ']', but got ':'"),
        ("a: b: c\n", "x.yaml:1:5: a ':' too many: put a value that contains ': ' in quotes"),
        ("a: 1\n  b: 2\n", "x.yaml:2:4: a ':' too many: "),
        ("a:\n  b: 1\n c: 2\n", "x.yaml:3:2: the indentation does not fit the lines above"),
        ("a: @b\n", "x.yaml:1:4: a value cannot begin with @: put it in quotes"),
        ("a: 'b\n", "x.yaml:2:1: cannot be read as YAML: found the end (while scanning a quoted scalar)"),
        ("a: *b\n", "x.yaml:1:4: cannot be read as YAML: found the undefined alias 'b'"),
        ("a: 1\n---\nb: 1\n", "x.yaml:2:1: cannot be read as YAML: "),
        ("a: \x01\n", "x.yaml:1:4: the character '\\x01' is not allowed"),
        ("# nothing\n", "x.yaml: the file is empty"),
        ("- a\n", "x.yaml:1:1: the file must be a mapping of keys, not a list"),
    ],
)
def test_what_is_not_yaml_is_told_with_its_place(folder, text, fault):
    told = folder.faults(text)
    assert len(told) == 1
    assert told[0].startswith(fault), told


def test_a_file_in_another_encoding_is_refused_at_the_first_bad_byte(folder, sound):
    path = folder.write("experiments/x.yaml", sound)
    path.write_bytes(sound.encode() + "description: schön\n".encode("latin-1"))
    with pytest.raises(Exception, match="x.yaml:13:17: the file is not in UTF-8"):
        read_experiment(path)


def test_a_missing_file_is_named_with_those_that_are_there(folder, sound):
    path = folder.write("experiments/quick.yaml", sound)
    with pytest.raises(Exception, match="does not exist .did you mean 'quick.yaml'.*has quick.yaml"):
        read_experiment(path.with_name("quik.yaml"))
    with pytest.raises(Exception, match="the file cannot be read: Is a directory"):
        read_experiment(path.parent)


def test_a_fault_in_a_task_file_names_that_file_and_its_line(folder, sound):
    folder.write("tasks/trec.yaml", "task: trec\ndata:\n  source: files\n  train: a\n  tset: b\n")
    assert folder.faults(sound) == [
        "tasks/trec.yaml:3:3: data.test: is missing; it must be text",
        "tasks/trec.yaml:5:3: data.tset: unknown key (did you mean 'test'?)",
    ]
    folder.write("tasks/trec.yaml", "task: [")
    assert folder.faults(sound)[0].startswith("x.yaml:3:9: tasks.0: cannot be read: tasks/trec.yaml:1:8: ")


def test_tasks_are_found_by_name_by_file_and_inline(folder, sound):
    folder.write("experiments/own.yaml", "task: own\ndata: {source: hub, name: glue}\n")
    inline = "{task: sample, data: {source: sample, target: topic}}"
    experiment = folder.read(sound.replace("[trec]", f"[trec, own.yaml, {inline}]"))
    assert [task.task for task in experiment.tasks] == ["trec", "own", "sample"]


def test_experiments_one_folder_down_find_the_same_tasks(folder, sound):
    (folder.root / "experiments").mkdir()
    path = folder.write("experiments/sun2019/x.yaml", sound)
    assert read_experiment(path).tasks[0].task == "trec"


@pytest.mark.parametrize("written", ["./here", "/there", "../up", "${MODELS:-/models}/bert"])
def test_an_encoder_that_is_written_as_a_path_is_a_folder(folder, sound, written):
    encoder = folder.read(sound.replace("some/encoder", written)).encoder
    assert encoder.hub is None
    assert encoder.folder == written.replace("${MODELS:-/models}", "/models")
    assert folder.read(sound).encoder.hub == "some/encoder"


def test_the_environment_is_read_in_paths(folder, sound):
    assert folder.read(sound).tasks[0].data == Files(
        train="data/trec/train.jsonl", test="data/trec/test.jsonl"
    )
    assert folder.read(sound, DATA="/d").tasks[0].data.train == "/d/trec/train.jsonl"


def test_unset_variables_and_wrong_spellings_are_faults(folder, sound):
    text = sound.replace("[trec]", "[{task: a, data: {source: files, train: '${A}/x', test: '${B-c}'}}]")
    assert folder.faults(text) == [
        "x.yaml:3:48: tasks.0.data.train: the environment variable A is not set; ${A:-PATH} gives a default",
        "x.yaml:3:64: tasks.0.data.test: '${B-c}' is not written as ${NAME} or ${NAME:-default}",
    ]


def test_what_is_resolved_reads_back_as_the_same_experiment(folder, sound):
    text = f"{sound}search: {{space: {{epochs: {{low: 1, high: 5}}}}, trials: 3}}\ndescription: 'no: 2e-5'\n"
    experiment = folder.read(text)
    resolved = resolved_yaml(experiment)
    assert folder.read(resolved) == experiment
    assert resolved_yaml(folder.read(resolved)) == resolved
    assert "null" not in resolved
    assert "  layer_decay: [1.0, 0.9]\n" in resolved


PROFILES = """\
profiles:
  small:
    recipe.epochs: 1
    grid: {layer_decay: [1.0]}
    tasks.0.data.train: small.jsonl
    pretraining: {tiny: {steps: 1}}
"""


def test_a_profile_changes_what_it_names_and_overrides_come_after_it(folder, sound):
    small = folder.read(sound + PROFILES, "recipe.epochs=2", profile="small")
    assert (small.recipe.epochs, small.grid.layer_decay) == (2, (1.0,))
    assert small.grid.pretraining == ("none", "within")
    assert small.tasks[0].data.train == "small.jsonl"
    assert set(small.pretraining) == {"within", "tiny"}
    assert folder.read(sound + PROFILES) == folder.read(sound)


def test_an_unknown_profile_is_told_with_those_that_are_there(folder, sound):
    assert folder.faults(sound + PROFILES, profile="smal") == [
        "--profile smal: x.yaml has no profile 'smal' (did you mean 'small'?); it has small"
    ]
    assert folder.faults(sound, profile="small") == [
        "--profile small: x.yaml has no profile 'small'; it has none"
    ]


def test_profiles_are_checked_without_being_applied(folder, sound):
    text = f"{sound}profiles:\n  a: {{recipe.epoch: 1}}\n  b: {{pretraining: null}}\n  c: 3\n"
    assert folder.faults(text) == [
        "x.yaml:11:23: grid.pretraining.1: there is no pretraining 'within'; known: none "
        "(under the profile 'b')",
        "x.yaml:14:7: recipe.epoch: unknown key (did you mean 'epochs'?) (under the profile 'a')",
        "x.yaml:16:6: profiles.c: must be a mapping of overrides such as 'recipe.epochs: 1', not 3",
    ]
    assert folder.faults(f"{sound}profiles: [a]\n") == [
        "x.yaml:13:11: profiles: must be a mapping of names to overrides, not a list"
    ]


def test_reading_is_light(folder, sound):
    path = folder.write("experiments/x.yaml", sound)
    program = f"""
import sys, time, json, layerscope.jobs.specs.stages
start = time.process_time()
from layerscope.orchestrator.experiment.reading import read_with_places
read_with_places({str(path)!r}, environ={{}})
heavy = {{"torch", "ray", "mlflow", "datasets", "transformers", "numpy"}} & set(sys.modules)
print(json.dumps([time.process_time() - start, sorted(heavy)]))
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    seconds, heavy = json.loads(answer.stdout)
    assert heavy == []
    assert seconds < 0.4


def test_corpora_are_named_like_tasks_and_need_neither_labels_nor_a_test_split(folder, sound):
    folder.write("tasks/films.yaml", "task: films\ndata: {source: files, train: '${DATA:-d}/films.jsonl'}\n")
    inline = "{task: other, data: {source: files, train: other.jsonl}, domain: film}"
    experiment = folder.read(f"{sound}corpora: [films, {inline}]\n", DATA="/data")
    assert [corpus.task for corpus in experiment.corpora] == ["films", "other"]
    assert experiment.corpora[0].data.train == "/data/films.jsonl"
    assert folder.faults(sound.replace("[trec]", "[films]")) == [
        "tasks/films.yaml:2:7: data.test: is missing; it must be text"
    ]
    (fault,) = folder.faults(f"{sound}corpora: [filmz]\n")
    assert fault.startswith("x.yaml:13:11: corpora.0: there is no task 'filmz' (did you mean 'films'?)")
