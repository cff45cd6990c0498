"""The loop by itself, over a learner of one number."""

import math

import pytest
import torch
from torch import nn

from layerscope.jobs.training.learning_rates import groups_at_one_rate
from layerscope.jobs.training.loop import (
    Course,
    Evaluation,
    Learner,
    TrainingLoop,
    points_of_curves,
    points_of_evaluations,
    train,
)
from layerscope.jobs.training.optimisation import Batch, Optimisation
from tests.jobs.tiny import curve, curves, make_context

SCORES = {1: 0.2, 2: 0.7, 3: 0.4, 4: 0.6}
"""By number of evaluation: the second one is the best."""


class OneNumber(Learner):
    """Learns the number 3 from noise that is the same for the same step."""

    def __init__(self, context, course: Course, *, broken_at: int | None = None) -> None:
        torch.manual_seed(0)
        model = nn.Linear(1, 1)
        self.course, self._broken_at = course, broken_at
        self.optimisation = Optimisation(
            model,
            groups_at_one_rate(model, learning_rate=0.1, weight_decay=0.0),
            context,
            num_steps=course.points[-1],
            warmup=0.0,
            max_grad_norm=1.0,
        )
        self.began, self.evaluated, self.steps = 0, 0, []

    def begin(self):
        self.began += 1

    def next_batch(self, step):
        def mean_loss(rows):
            noise = torch.rand(len(rows), 1)
            loss = ((self.optimisation.model(noise) - 3) ** 2).mean()
            return loss * math.nan if step == self._broken_at else loss

        return Batch(range(4), mean_loss)

    def after_step(self, step):
        self.steps.append(step)

    def evaluate(self):
        self.evaluated += 1
        bias = self.optimisation.module.bias.item()
        return Evaluation({"validation/loss": abs(3 - bias)}, SCORES[self.evaluated], {"bias": bias})

    def state(self):
        return {"evaluated": self.evaluated}

    def load_state(self, state):
        self.evaluated = state["evaluated"]

    def finish(self, progress):
        return {"bias": self.optimisation.module.bias.item(), **progress.about_best}


def begin(folder, course, **options):
    context = make_context(folder, train=True)
    return context, TrainingLoop(OneNumber(context, course, **options), context)


EVALUATED = Course(points_of_evaluations(8, 4), selects=True)


def test_curves_have_about_fifty_points_and_the_last_step():
    assert points_of_curves(3) == [1, 2, 3]
    assert points_of_curves(120) == list(range(2, 121, 2))
    assert points_of_curves(101)[-2:] == [100, 101]


@pytest.mark.parametrize("num_steps", [1, 7, 20, 33])
@pytest.mark.parametrize("number", [1, 3, 20])
def test_evaluations_are_spread_over_all_steps_and_the_last_is_the_end(num_steps, number):
    points = points_of_evaluations(num_steps, number)
    assert len(points) == min(number, num_steps)
    assert points == sorted(set(points))
    assert points[-1] == num_steps


def test_the_training_ends_with_the_weights_of_its_best_evaluation(tmp_path):
    _, loop = begin(tmp_path, EVALUATED)
    biases = []
    for _ in range(4):
        loop.advance()
        biases.append(loop.model.bias.item())
    assert loop.is_over
    assert loop.progress.best_score == 0.7
    assert loop.finish()["bias"] == biases[1] != biases[3]


def test_one_that_does_not_select_ends_with_its_last_weights_and_counts_as_one_evaluation(tmp_path):
    _, loop = begin(tmp_path, Course(points_of_curves(8)))
    assert loop.num_evaluations == 1
    assert train(loop) == {"bias": loop.model.bias.item()}
    assert (loop.learner.began, loop.learner.evaluated) == (1, 0)
    assert loop.learner.steps == list(range(1, 9))


def test_a_step_without_a_finite_gradient_ends_it_and_changes_nothing(tmp_path):
    context, loop = begin(tmp_path, EVALUATED, broken_at=3)
    loop.advance()
    weights = {name: value.clone() for name, value in loop.model.state_dict().items()}
    loop.advance()
    assert loop.is_over
    assert (loop.progress.step, loop.progress.diverged) == (4, True)
    assert all(torch.equal(value, loop.model.state_dict()[name]) for name, value in weights.items())
    assert list(curve(context, "train/loss")) == [2]


def test_losses_are_logged_as_often_as_the_course_says_and_always_at_a_point(tmp_path):
    context, loop = begin(tmp_path, Course([7, 20], losses_per_point=3, logs_learning_rate=True))
    train(loop)
    assert list(curve(context, "train/loss")) == [2, 4, 6, 7, 8, 12, 16, 20]
    assert loop.progress.first_losses == {"train/loss": curve(context, "train/loss")[2]}
    assert loop.progress.last_losses == {"train/loss": curve(context, "train/loss")[20]}
    assert curve(context, "train/learning_rate")[20] == 0


@pytest.mark.parametrize("course", [EVALUATED, Course(points_of_curves(8))], ids=["evaluated", "curves"])
def test_one_that_is_resumed_ends_like_an_undisturbed_one_and_does_not_begin_again(tmp_path, course):
    undisturbed, whole = begin(tmp_path / "whole", course)
    expected = train(whole)
    _, killed = begin(tmp_path / "killed", course)
    killed.advance()
    killed.save()
    killed.advance()
    torch.manual_seed(99)
    context, resumed = begin(tmp_path / "killed", course)
    assert resumed.progress.step == course.points[0]
    assert train(resumed) == expected
    assert resumed.learner.began == 0
    assert curves(context) == curves(undisturbed)
