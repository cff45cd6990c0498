"""Which recipes are those of a paper, and the paper's numbers as they stand in its tables."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from layerscope.jobs.report.paper.paper_recipes import in_words
from layerscope.jobs.specs.references import Bounds, Paper
from tests.jobs.report.papers import reference

SUN = Path(__file__).parents[4] / "configs" / "references" / "sun2019.yaml"


@pytest.fixture(scope="module")
def values():
    """Values by table and row, typed by hand into the file."""
    written = YAML(typ="safe", pure=True).load(SUN.read_text())
    return {
        (table["table"], row["row"]): row["values"] for table in written["tables"] for row in table["rows"]
    }


@pytest.mark.parametrize(
    ("table", "data_sets", "rows"),
    [
        (
            "T2",
            "imdb sogou_news",
            {
                "head": "5.63 2.58",
                "tail": "5.44 3.17",
                "head+tail": "5.42 2.43",
                "hierarchical mean": "5.89 2.83",
                "hierarchical max": "5.71 2.47",
                "hierarchical self-attention": "5.49 2.65",
            },
        ),
        (
            "T4",
            "imdb",
            {
                "2.5e-5 with 1.00": "5.52",
                "2.5e-5 with 0.95": "5.46",
                "2.5e-5 with 0.90": "5.44",
                "2.5e-5 with 0.85": "5.58",
                "2.0e-5 with 1.00": "5.42",
                "2.0e-5 with 0.95": "5.40",
                "2.0e-5 with 0.90": "5.52",
                "2.0e-5 with 0.85": "5.65",
            },
        ),
        (
            "T5",
            "imdb yelp_polarity yelp_full trec yahoo_answers ag_news dbpedia14",
            {
                "all sentiment": "4.88 1.87 29.25 3.00 22.35 5.34 .67",
                "Yahoo": "5.52 2.08 29.31 1.80 22.38 5.16 .67",
                "all": "5.18 1.97 29.20 2.80 21.94 5.08 .67",
                "w/o": "5.40 2.28 30.06 2.80 22.42 5.25 .71",
            },
        ),
        (
            "T6",
            "imdb yelp_polarity yelp_full trec yahoo_answers ag_news dbpedia14 sogou_news",
            {
                "BERT-Feat": "6.79 2.39 30.47 4.20 22.72 5.92 .70 2.50",
                "BERT-FiT": "5.40 2.28 30.06 2.80 22.42 5.25 .71 2.43",
                "BERT-ITPT-FiT": "4.37 1.92 29.42 3.20 22.38 4.80 .68 1.93",
                "BERT-IDPT-FiT": "4.88 1.87 29.25 2.20 21.86 4.88 .65",
                "BERT-CDPT-FiT": "5.18 1.97 29.20 2.80 21.94 5.08 .67",
            },
        ),
        (
            "T7",
            "imdb yelp_polarity ag_news dbpedia14",
            {"BERT-MFiT-FiT": "5.36 2.19 5.20 .68", "BERT-CDPT-MFiT-FiT": "4.96 2.06 5.13 .67"},
        ),
        (
            "T8",
            "imdb yelp_polarity yelp_full ag_news dbpedia14",
            {"BERT-large": "4.86 2.04 29.25 4.86 .62", "BERT-large + ITPT": "4.21 1.81 28.62 4.66 .61"},
        ),
    ],
)
def test_the_numbers_are_those_of_the_paper(values, table, data_sets, rows):
    for row, numbers in rows.items():
        typed = dict(zip(data_sets.split(), map(float, numbers.split()), strict=False))
        assert values[table, row] == typed


def test_the_layers_of_table_3_are_counted_from_one(values):
    printed = "11.07 9.81 9.29 8.66 7.83 6.83 6.83 6.41 6.04 5.70 5.46 5.42"
    assert [values["T3", f"Layer-{layer}"]["imdb"] for layer in range(12)] == [*map(float, printed.split())]
    paper = Paper.model_validate_json(_as_json(SUN))
    (table,) = [table for table in paper.tables if table.table == "T3"]
    assert [row.where["layers"] for row in table.rows[:12]] == list(range(1, 13))


def test_the_baseline_is_the_same_in_every_table_that_repeats_it(values):
    """The paper copies its cells from table to table: what is typed in twice must agree."""
    for table, row in [("T5", "w/o"), ("T7", "BERT-FiT"), ("T8", "BERT-base")]:
        own = values[table, row]
        assert own == {name: values["T6", "BERT-FiT"][name] for name in own}
    own_corpus = {"imdb": "IMDb", "yelp_polarity": "Yelp P.", "yelp_full": "Yelp F.", "trec": "TREC"}
    own_corpus |= {"yahoo_answers": "Yahoo", "ag_news": "AG", "dbpedia14": "DBPedia"}
    for name, row in own_corpus.items():
        assert values["T5", row][name] == values["T6", "BERT-ITPT-FiT"][name]


def test_the_average_reduction_of_table_6_follows_from_its_cells(values):
    """9.22, 16.07, 18.57 and 14.38 % are printed; the second is 16.08 from the printed cells."""
    plain = values["T6", "BERT-Feat"]
    for row, printed in [("FiT", 9.22), ("ITPT-FiT", 16.08), ("IDPT-FiT", 18.57), ("CDPT-FiT", 14.38)]:
        own = values["T6", f"BERT-{row}"]
        reductions = [100 * (1 - own[name] / plain[name]) for name in own]
        assert sum(reductions) / len(reductions) == pytest.approx(printed, abs=0.005)


@pytest.mark.parametrize(
    ("recipe", "where", "is_met"),
    [
        ({"truncation": "head"}, {"truncation": "head"}, True),
        ({"truncation": "head"}, {"truncation": "tail"}, False),
        ({"truncation": "head"}, {}, True),
        ({}, {"truncation": "head"}, False),
        ({"learning_rate": 2e-5}, {"learning_rate": 2.0e-5}, True),
        ({"layer_decay": 1}, {"layer_decay": 1.0}, True),
        ({"layer_decay": 0.95}, {"layer_decay": Bounds(below=1)}, True),
        ({"layer_decay": 1.0}, {"layer_decay": Bounds(below=1)}, False),
        ({"learning_rate": 4e-4}, {"learning_rate": Bounds(at_least=4e-4, at_most=1)}, True),
        ({"learning_rate": 4e-4}, {"learning_rate": Bounds(above=4e-4)}, False),
        ({"layers": "all"}, {"layers": Bounds(at_least=1)}, False),
        ({"layers": "last"}, {"layers": 6}, True),
        ({"layers": 6}, {"layers": "last"}, True),
        ({"layers": "last"}, {"layers": Bounds(at_least=1)}, True),
        ({"layers": [5, 6]}, {"layers": (5, 6)}, True),
        ({"train_size": None}, {"train_size": "none"}, True),
        ({"frozen": True}, {"frozen": 1}, False),
        ({"frozen": True}, {"frozen": Bounds(at_least=1)}, False),
        ({}, {"encoder": "bert-base-uncased"}, True),
        ({}, {"encoder": "bert-large-uncased"}, False),
    ],
)
def test_a_recipe_meets_what_is_asked_for_or_not(recipe, where, is_met):
    known = reference(encoder="google-bert/bert-base-uncased", num_layers=6)
    assert known.meets(recipe, where) is is_met


def test_without_a_known_depth_the_last_layer_is_only_itself():
    known = reference(num_layers=None)
    assert known.meets({"layers": "last"}, {"layers": "last"})
    assert not known.meets({"layers": "last"}, {"layers": 12})


def test_what_is_asked_for_is_told_as_conditions_are():
    where = {"layer_decay": Bounds(below=1), "truncation": "head", "learning_rate": 2e-5, "layers": (1, 2)}
    assert in_words(where) == "layer_decay below 1 truncation=head learning_rate=2e-05 layers=[1,2]"


def _as_json(path: Path) -> str:
    import json

    return json.dumps(YAML(typ="safe", pure=True).load(path.read_text()))
