"""Distances of hulls and separability: known polygons, other solvers, and proofs that are checked again."""

import numpy as np
import pytest
from scipy.optimize import linprog, minimize

from layerscope.jobs.kernels.directprobe.hulls import hull_distance
from layerscope.jobs.kernels.directprobe.separability import Meeting, Separation, separate

SQUARE = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
TRIANGLE = np.array([[0.0, 0.0], [4.0, 0.0], [0.0, 3.0]])


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def check_interval(left, right, found, *, closed=1e-6):
    """Both ends measured again from what proves them."""
    for weights in (found.left_weights_P, found.right_weights_Q):
        assert (weights >= 0).all() and weights.sum() == pytest.approx(1)
    apart = np.linalg.norm(found.left_weights_P @ left - found.right_weights_Q @ right)
    radius = np.abs(np.concatenate([left, right])).max()
    assert apart == pytest.approx(found.upper, abs=1e-13 * radius)
    low, high = (left @ found.normal_D).min(), (right @ found.normal_D).max()
    assert low - high == pytest.approx(found.lower, abs=1e-13 * radius)
    assert low >= found.offset >= high
    assert found.upper - closed * found.upper <= found.lower <= found.upper


@pytest.mark.parametrize(
    "left, right, distance",
    [
        (SQUARE, SQUARE + [3, 0], 2),
        (SQUARE, SQUARE + [3, 0.5], 2),
        (SQUARE, SQUARE + [2, 2], np.sqrt(2)),
        (SQUARE, SQUARE + [4, -5], 5),
        (TRIANGLE, TRIANGLE + [4, 3], 2.4),  # the corner (4, 3) is 12 / 5 from the hypotenuse
        (TRIANGLE, np.array([[2.0, -1.0]]), 1),
        (SQUARE, np.array([[-3.0, -4.0]]), 5),
        (np.array([[0.0, 0.0]]), np.array([[3.0, 4.0]]), 5),
        (np.array([[0.0, 0.0], [2.0, 0.0]]), np.array([[1.0, 1.0], [1.0, 3.0]]), 1),
    ],
)
def test_polygons_in_the_plane_have_the_distance_that_geometry_says(left, right, distance):
    for a, b in ((left, right), (right, left)):
        found = hull_distance(a, b)
        assert found.upper == pytest.approx(distance, rel=1e-6)
        check_interval(a, b, found)


@pytest.mark.parametrize(
    "left, right",
    [
        (SQUARE, SQUARE + 0.5),
        (SQUARE, SQUARE),
        (SQUARE, SQUARE + [1, 0]),  # they share an edge
        (SQUARE, SQUARE + [1, 1]),  # they share a corner
        (SQUARE, np.array([[0.25, 0.5]])),
        (np.array([[0.0, 0.0], [2.0, 2.0]]), np.array([[0.0, 2.0], [2.0, 0.0]])),
    ],
)
def test_polygons_that_meet_have_no_gap_and_nearly_no_distance(left, right):
    found = hull_distance(left, right)
    assert found.lower < 1e-9 and found.upper < 1e-8
    assert isinstance(separate(left, right), Meeting)


@pytest.mark.parametrize("seed", range(4))
def test_the_interval_holds_what_a_general_solver_finds(seed):
    rng = np.random.default_rng(seed)
    left, right = rng.normal(size=(12, 5)) + 1.5, rng.normal(size=(9, 5))

    def squared(weights):
        apart = weights[:12] @ left - weights[12:] @ right
        return apart @ apart

    solution = minimize(
        squared,
        np.concatenate([np.full(12, 1 / 12), np.full(9, 1 / 9)]),
        method="SLSQP",
        bounds=[(0, 1)] * 21,
        constraints=[
            {"type": "eq", "fun": lambda weights: weights[:12].sum() - 1},
            {"type": "eq", "fun": lambda weights: weights[12:].sum() - 1},
        ],
        options={"ftol": 1e-14, "maxiter": 500},
    )
    found = hull_distance(left, right)
    # SLSQP ends at some 1e-7 of the square, from above.
    assert np.sqrt(solution.fun) == pytest.approx(found.upper, rel=1e-5)
    check_interval(left, right, found)


SHAPES = [(30, 3), (200, 8), (150, 60), (60, 200)]


def clouds_with_flat_faces(num_points, width, gap, rng):
    """Two clouds this far apart whose faces are parallel, turned in space."""
    left, right = rng.normal(size=(2, num_points, width))
    left[:, 0] = np.abs(left[:, 0]) + gap
    right[:, 0] = -np.abs(right[:, 0])
    left[: num_points // 2, 0] = gap
    right[: num_points // 2, 0] = 0
    # One point of each face lies straight across.
    right[0, 1:] = left[0, 1:]
    turned = np.linalg.qr(rng.normal(size=(width, width)))[0]
    return left @ turned, right @ turned


# Heights are exact to some 1e-14 here, which is 1e-7 of the narrowest gap.
@pytest.mark.parametrize("num_points, width", SHAPES)
@pytest.mark.parametrize("gap", [10, 1e-2, 1e-4, 1e-6, 1e-7])
def test_wide_and_narrow_gaps_are_closed(num_points, width, gap, rng):
    left, right = clouds_with_flat_faces(num_points, width, gap, rng)
    found = hull_distance(left, right)
    check_interval(left, right, found)
    rounding = 1e-9 + 1e-14 / gap
    assert found.lower <= gap * (1 + rounding) and found.upper >= gap * (1 - rounding)


@pytest.mark.parametrize("num_points, width", SHAPES)
@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6])
def test_narrow_gaps_are_closed_whatever_the_order_of_summation(num_points, width, gap):
    """Coordinates and points in another order are the same problem with other roundings."""
    left, right = clouds_with_flat_faces(num_points, width, gap, np.random.default_rng(3))
    for seed in range(8):
        rng = np.random.default_rng(seed)
        coordinates = rng.permutation(width)
        other_left, other_right = (rng.permutation(side)[:, coordinates] for side in (left, right))
        check_interval(other_left, other_right, hull_distance(other_left, other_right))


@pytest.mark.parametrize("num_points, width", SHAPES)
@pytest.mark.parametrize("gap", [1e-2, 1e-4, 1e-6])
def test_narrow_gaps_between_round_clouds_are_closed(num_points, width, gap):
    for seed in range(5):
        rng = np.random.default_rng(seed)
        left, right = rng.normal(size=(2, num_points, width))
        left[:, 0] += 6
        wide = hull_distance(left, right, tolerance=1e-12)
        left = left - wide.normal_D * (wide.lower - gap)
        found = hull_distance(left, right)
        check_interval(left, right, found)
        # The first interval was closed to 1e-12 of some 5, or as far as rounding let it.
        assert found.upper == pytest.approx(gap, rel=1e-6, abs=1e-10)


def test_faces_that_one_pair_of_points_carries_are_found_all_the_same(rng):
    """More points than coordinates lie on either face, and all but one pair may weigh nothing."""
    left, right = clouds_with_flat_faces(600, 300, 1e-5, rng)
    check_interval(left, right, hull_distance(left, right))


def test_moving_both_sets_alike_scales_the_distance(rng):
    left, right = rng.normal(size=(40, 6)) + 2, rng.normal(size=(50, 6))
    turned = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    found = hull_distance(left, right)
    moved = hull_distance(1e-3 * left @ turned + 4, 1e-3 * right @ turned + 4)
    assert moved.upper == pytest.approx(1e-3 * found.upper, rel=2e-6)


def test_a_tighter_tolerance_gives_a_tighter_interval(rng):
    left, right = rng.normal(size=(300, 40)) + 0.8, rng.normal(size=(200, 40))
    loose, tight = (hull_distance(left, right, tolerance=tolerance) for tolerance in (0.3, 1e-9))
    check_interval(left, right, tight, closed=1e-9)
    assert loose.lower < tight.lower <= tight.upper < loose.upper


@pytest.mark.parametrize("seed", range(20))
def test_separability_is_what_a_linear_programme_says_and_proves_itself(seed):
    rng = np.random.default_rng(seed)
    width, num_left, num_right = (int(rng.integers(1, high)) for high in (8, 20, 20))
    left, right = rng.normal(size=(num_left, width)) + 0.7, rng.normal(size=(num_right, width))
    rows = np.block([[-left, -np.ones((num_left, 1))], [right, np.ones((num_right, 1))]])
    programme = linprog(np.zeros(width + 1), A_ub=rows, b_ub=-np.ones(len(rows)), bounds=(None, None))
    answer = separate(left, right, start_R=rng.normal(size=width) if seed % 2 else None)
    assert isinstance(answer, Separation) == (programme.status == 0)
    if isinstance(answer, Separation):
        low, high = (left @ answer.normal_R).min(), (right @ answer.normal_R).max()
        assert low > answer.offset > high and low - high == pytest.approx(answer.margin, abs=1e-12)
    else:
        assert (answer.left_weights_P >= 0).all() and answer.left_weights_P.sum() == pytest.approx(1)
        met = answer.left_weights_P @ left
        assert met == pytest.approx(answer.right_weights_Q @ right, abs=1e-8)


def test_the_resolution_says_what_counts_as_meeting():
    near = SQUARE + [1 + 1e-6, 0]
    assert isinstance(separate(SQUARE, near), Separation)
    assert isinstance(separate(SQUARE, near, resolution=1e-5), Meeting)
    assert isinstance(separate(np.zeros((2, 3)), np.zeros((1, 3))), Meeting)


def test_points_on_one_line_are_told_apart():
    direction = np.array([[1.0, 2.0, -1.0]])
    low, high = np.array([[0.0], [1.0]]) * direction, np.array([[1.5], [4.0]]) * direction
    answer = separate(high, low)
    assert answer.margin == pytest.approx(0.5 * np.sqrt(6))
    assert isinstance(separate(high - 0.6 * direction, low), Meeting)
