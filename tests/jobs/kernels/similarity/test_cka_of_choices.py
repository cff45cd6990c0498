"""Standard errors of CKA where rows share a question, against the spread over draws of questions."""

import numpy as np
import pytest

from layerscope.jobs.kernels.similarity.cka import cka_map
from layerscope.jobs.kernels.similarity.cka_errors import cka_standard_errors

QUESTIONS, CHOICES = 60, 5


def layers(rng, *, shared):
    """Two related layers; the choices of a question have the part `shared` of their spread in common."""
    signal_QCS = np.sqrt(shared) * rng.normal(size=(QUESTIONS, 1, 4))
    signal_QCS = signal_QCS + np.sqrt(1 - shared) * rng.normal(size=(QUESTIONS, CHOICES, 4))
    rows_NS = signal_QCS.reshape(-1, 4)
    second_NS = rows_NS * [3, 1, 1, 0.3] + 0.5 * rng.normal(size=rows_NS.shape)
    return [rows_NS.astype(np.float32)], [second_NS.astype(np.float32)]


def drawn(shared, *, num_draws=150):
    """Deviation of CKA over draws of questions, and mean errors that know of questions, and that do not."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(num_draws):
        a, b = layers(rng, shared=shared)
        errors = [cka_standard_errors(a, b, rows_per_example=rows)[0, 0] for rows in (CHOICES, 1)]
        found.append([cka_map(a, b)[0, 0], *errors])
    found = np.array(found)
    return found[:, 0].std(ddof=1), found[:, 1].mean(), found[:, 2].mean()


def test_rows_that_share_a_question_are_less_than_as_many_examples():
    deviation, of_questions, of_rows = drawn(0.9)
    # A deviation over 150 draws is known to 12 % (two of its errors).
    assert of_questions == pytest.approx(deviation, rel=0.2)
    assert of_rows < 0.65 * deviation


def test_where_choices_are_independent_both_errors_are_right():
    deviation, of_questions, of_rows = drawn(0.0)
    assert of_questions == pytest.approx(deviation, rel=0.2)
    assert of_rows == pytest.approx(deviation, rel=0.2)
