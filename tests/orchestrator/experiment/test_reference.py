"""A paper's file is read through an experiment, which keeps the parts that it names."""

from pathlib import Path

import pytest

from layerscope.orchestrator.experiment.reading import resolved_yaml

REFERENCES = sorted((Path(__file__).parents[3] / "configs" / "references").glob("*.yaml"))
PAPER = """\
paper: known
title: What is known
source: nowhere
tables:
  - table: T1
    title: Cut texts
    rows:
      - {row: head, where: {truncation: head}, values: {questions: 5.63}}
      - {row: few, where: {train_size: none, layers: [1, 2]}, values: {questions: 5.4}}
  - table: T2
    title: Other
    measure: correlation
    rows: [{row: all, values: {questions: 0.4}}]
claims:
  - claim: a
    says: It is so.
    source: table 1
    tasks: [questions]
    check: {kind: some_better, where: {layer_decay: {below: 1}}, than: {layer_decay: 1.0}}
  - claim: b
    says: It is not.
    source: table 1
    check: {kind: better, where: {truncation: head}, than: [{truncation: tail}]}
"""


@pytest.fixture
def known(folder):
    folder.write("references/known.yaml", PAPER)
    return folder


@pytest.mark.parametrize("path", REFERENCES, ids=lambda path: path.stem)
def test_every_shipped_paper_is_sound_and_called_like_its_file(path, folder, sound):
    experiment = folder.read(f"{sound}reference: {{paper: {path}}}\n")
    assert experiment.reference.paper.paper == path.stem


def test_there_are_shipped_papers():
    assert [path.stem for path in REFERENCES] == ["sun2019", "zhou2022"]


def test_an_experiment_keeps_the_named_parts_of_its_paper(known, sound):
    reference = "reference: {paper: known, tables: [T1], tasks: {trec: questions}, claims: [b]}"
    experiment = known.read(f"{sound}{reference}\n")
    paper = experiment.reference.paper
    assert [table.table for table in paper.tables] == ["T1"]
    assert [claim.claim for claim in paper.claims] == ["b"]
    assert experiment.reference.tasks == {"trec": "questions"}


def test_all_parts_are_kept_where_none_is_named(known, sound):
    paper = known.read(f"{sound}reference: {{paper: known}}\n").reference.paper
    assert [table.table for table in paper.tables] == ["T1", "T2"]
    assert [claim.claim for claim in paper.claims] == ["a", "b"]
    assert known.read(f"{sound}reference: {{paper: known, claims: []}}\n").reference.paper.claims == ()


def test_a_resolved_experiment_holds_its_paper_and_reads_back_as_the_same(known, sound):
    experiment = known.read(f"{sound}reference: {{paper: known, tables: [T1]}}\n")
    (known.root / "references" / "known.yaml").unlink()
    assert known.read(resolved_yaml(experiment)) == experiment


@pytest.mark.parametrize(
    ("reference", "fault"),
    [
        (
            "{paper: knwn}",
            "x.yaml:13:20: reference.paper: there is no reference 'knwn' (did you mean 'known'?); "
            "references has known",
        ),
        ("{paper: other.yaml}", "x.yaml:13:20: reference.paper: the file other.yaml does not exist"),
        ("{tables: [T1]}", "x.yaml:13:12: reference.paper: is missing; it must be the name of a file in "),
        (
            "{paper: known, table: [T1]}",
            "x.yaml:13:27: reference.table: unknown key (did you mean 'tables'?)",
        ),
        (
            "{paper: known, tables: [T3]}",
            "x.yaml:13:36: reference.tables.0: known has no table 'T3'; it has T1, T2",
        ),
        ("{paper: known, claims: [z]}", "reference.claims.0: known has no claim 'z'; it has a, b"),
        (
            "{paper: known, tasks: {tre: questions}}",
            "reference.tasks: names none of the tasks (did you mean 'trec'?); they are trec",
        ),
        (
            "{paper: known, tasks: {trec: question}}",
            "x.yaml:13:41: reference.tasks.trec: known has no data set 'question' "
            "(did you mean 'questions'?); it has questions",
        ),
    ],
)
def test_what_a_reference_names_must_be_there(known, sound, reference, fault):
    (told,) = known.faults(f"{sound}reference: {reference}\n")
    told = told.replace(str(known.root / "references"), "references")
    told = told.replace(str(known.root / "experiments") + "/", "")
    assert fault in told


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("values", "valus", "known.yaml:8:48: tables.0.rows.0.valus: unknown key (did you mean 'values'?)"),
        ("5.63", "low", "known.yaml:8:68: tables.0.rows.0.values.questions: must be a number, not the text"),
        ("title: Other", "title: 3", "known.yaml:11:12: tables.1.title: must be text, not 3"),
        ("table: T2", "table: T1", "known.yaml:10:12: tables.1.table: duplicate table 'T1'"),
        ("row: few", "row: head", "known.yaml:9:15: tables.0.rows.1.row: duplicate row 'head'"),
        ("claim: b", "claim: a", "known.yaml:20:12: claims.1.claim: duplicate claim 'a'"),
        (
            "tasks: [questions]",
            "tasks: [question]",
            "known.yaml:18:13: claims.0.tasks.0: no table has the data set 'question' (did you mean ",
        ),
        ("some_better", "any", "known.yaml:19:19: claims.0.check.kind: must be one of better, no_worse, "),
        ("below: 1", "under: 1", "known.yaml:19:54: claims.0.check.where.layer_decay.under: unknown key"),
        ("than: {", "then: {", "known.yaml:19:66: claims.0.check.then: unknown key (did you mean 'than'?)"),
    ],
)
def test_a_fault_of_the_paper_stands_at_its_own_place(known, sound, old, new, fault):
    known.write("references/known.yaml", PAPER.replace(old, new))
    told = known.faults(f"{sound}reference: {{paper: known}}\n")
    assert any(fault in one for one in told), told
