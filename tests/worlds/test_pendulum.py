"""The pendulum beside the published formulas and matplotlib; the rest is in test_worlds."""

import math

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Polygon
from sklearn.metrics import r2_score

from caufvae_lite import Pendulum, World

NAMES = ("pendulum_angle", "light_angle", "shadow_length", "shadow_position")
ANGLE, LIGHT, LENGTH, POSITION = range(4)


def law_by_projection(factors):
    """Length and position with the published generator's tangent, in float64."""
    theta, phi = np.radians(np.asarray(factors, np.float64)[:, :2]).T

    def projected(x, y, base=-0.5):
        return x - (y - base) / np.tan(phi)

    a = projected(10.0, 10.5)
    b = projected(10.0 + 9.5 * np.sin(theta), 10.5 - 9.5 * np.cos(theta))
    return np.stack([np.maximum(3.0, np.abs(a - b)), (a + b) / 2], -1)


def random_factors(world, n, seed, lawful):
    """Rows over the world's ranges, whose shadow obeys the law or does not."""
    random = np.random.default_rng(seed)
    low, high = np.array([world.ranges[name] for name in NAMES]).T
    factors = random.uniform(low, high, (n, 4))
    if lawful:
        factors[:, 2:] = law_by_projection(factors)
    return torch.as_tensor(factors, dtype=torch.float32)


@pytest.fixture(scope="module")
def grid():
    return Pendulum(image_size=8).grid()


# ----------------------------------------------------------------------------- the laws


def test_graph_and_units():
    world = Pendulum()
    assert world.graph.nodes == NAMES
    assert set(world.graph.edges) == {(a, b) for a in NAMES[:2] for b in NAMES[2:]}
    assert [world.units[n] for n in NAMES] == ["°", "°", "axis units", "axis units"]
    assert isinstance(world, World)


def test_law_is_the_published_projection():
    factors = random_factors(Pendulum(), 500, seed=0, lawful=False)
    found = Pendulum().law(factors)
    np.testing.assert_allclose(found, law_by_projection(factors), atol=2e-4)


def test_light_from_straight_above_is_no_exception():
    above = torch.tensor([[30.0, 90.0, 0.0, 0.0]])
    length, position = Pendulum().law(above)[0].tolist()
    assert length == pytest.approx(4.75, abs=1e-4)
    assert position == pytest.approx(10 + 4.75 / 2, abs=1e-4)


def test_grid_is_the_published_one(grid):
    combinations = [
        (i * math.pi / 200, j * math.pi / 200)
        for i in range(-40, 44)
        for j in range(60, 148)
        if j != 100
    ]
    expected = np.degrees(combinations)
    assert len(grid) == len(expected) == 7308
    np.testing.assert_allclose(grid.factors[:, :2], expected, atol=1e-4)
    np.testing.assert_allclose(grid.factors[:, 2:], law_by_projection(expected), atol=2e-4)


def test_published_split_takes_every_fourth_row(grid):
    train, test = grid.split("published")
    assert (len(train), len(test)) == (5481, 1827)
    counted_from_one = np.arange(1, 7309)
    assert torch.equal(test.factors, grid.factors[counted_from_one % 4 == 0])
    assert torch.equal(train.images, grid.images[counted_from_one % 4 != 0])


def test_ranges_hold_the_grid(grid):
    for i, name in enumerate(NAMES[:2]):
        column = grid.factors[:, i]
        found = (column.min().item(), column.max().item())
        assert Pendulum().ranges[name] == pytest.approx(found, abs=1e-3)


@pytest.mark.parametrize("sigma", [0.0, 0.7])
def test_noise_has_the_asked_standard_deviation(sigma):
    factors = Pendulum(image_size=8, noise=sigma).sample(2000, seed=0).factors
    residual = factors[:, 2:].numpy() - law_by_projection(factors)
    error = sigma / math.sqrt(2000)
    np.testing.assert_allclose(residual.std(0), sigma, atol=5 * error + 2e-4)
    np.testing.assert_allclose(residual.mean(0), 0, atol=5 * error + 2e-4)
    if sigma:
        assert abs(np.corrcoef(residual.T)[0, 1]) < 5 / math.sqrt(2000)


# ------------------------------------------------------------------------ counterfactuals


@pytest.mark.parametrize("lawful", [True, False])
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize(
    "do",
    [
        {"pendulum_angle": 12.0},
        {"light_angle": 75.0},
        {"pendulum_angle": -20.0, "light_angle": 110.0},
        {"light_angle": 75.0, "shadow_length": 5.0},
    ],
    ids=lambda do: "+".join(do),
)
def test_counterfactual_is_the_law_plus_the_rows_own_residual(do, noise, lawful):
    world = Pendulum(noise=noise)
    factors = random_factors(world, 60, seed=4, lawful=lawful)
    found = world.counterfactual(factors, do)
    expected = factors.numpy().astype(np.float64)
    residual = expected[:, 2:] - law_by_projection(expected)
    for name in set(do) & set(NAMES[:2]):
        expected[:, NAMES.index(name)] = do[name]
    expected[:, 2:] = law_by_projection(expected) + residual
    for name, value in do.items():
        expected[:, NAMES.index(name)] = value
    np.testing.assert_allclose(found, expected, atol=1e-3)


# --------------------------------------------------------------------------- the camera


def drawn_by_matplotlib(factors, size=64, finer=16):
    """The scene as matplotlib draws it, `finer` times as large, averaged down."""
    theta, phi = np.radians(factors[:2])
    length, position = factors[2:]
    ball = (10 + 8 * math.sin(theta), 10.5 - 8 * math.cos(theta))
    sun = (10 + 10 / math.tan(phi), 20.5)
    ends = [(position - length / 2, -0.5), (position + length / 2, -0.5)]
    with matplotlib.rc_context({"path.snap": False}):
        figure = Figure(figsize=(1, 1), dpi=size * finer, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes([0, 0, 1, 1], xlim=(0, 20), ylim=(-1, 21))
        axes.set_axis_off()
        for shape in (
            Polygon([(10, 10.5), ball], color="black", linewidth=3),
            Circle(ball, 1.5, color="firebrick", linewidth=0),
            Circle(sun, 3.0, color="orange", linewidth=0),
            Polygon(ends, color="black", linewidth=3),
        ):
            axes.add_patch(shape)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    averaged = pixels.reshape(size, finer, size, finer, 3).mean((1, 3))
    return averaged.transpose(2, 0, 1)


@pytest.fixture(scope="module")
def drawn_large():
    """Ten lawful and ten law-broken rows, and how matplotlib draws them."""
    world = Pendulum()
    factors = torch.cat([random_factors(world, 40, s, lawful=s == 0) for s in (0, 1)])
    inside = world.in_frame(factors)
    rows = torch.cat([torch.nonzero(inside[:40])[:10], 40 + torch.nonzero(inside[40:])[:10]])
    chosen = factors[rows.flatten()]
    return chosen, np.stack([drawn_by_matplotlib(f) for f in chosen.double().numpy()])


def agrees(images, reference):
    """Mean absolute difference of at most 0.002, and at most 0.005 in every picture."""
    difference = np.abs(images.numpy() - reference).mean((1, 2, 3))
    return difference.mean() <= 0.002 and difference.max() <= 0.005


def test_renderer_draws_what_matplotlib_draws(drawn_large):
    factors, reference = drawn_large
    assert len(factors) == 20
    assert agrees(Pendulum().render(factors), reference)


@pytest.mark.parametrize(
    ("column", "change"),
    [(LENGTH, None), (POSITION, 0.5), (ANGLE, 2.0)],
    ids=["no shadow", "shadow moved", "rod turned"],
)
def test_that_comparison_notices_a_wrong_picture(drawn_large, column, change):
    factors, reference = drawn_large[0].clone(), drawn_large[1]
    factors[:, column] = -1.0 if change is None else factors[:, column] + change
    assert not agrees(Pendulum().render(factors), reference)


# ---------------------------------------------------------------------------- the ruler


@pytest.mark.parametrize("size", [28, 64, 96])
@pytest.mark.parametrize("lawful", [True, False], ids=["lawful", "law broken"])
def test_ruler_reads_what_was_drawn(size, lawful):
    world = Pendulum(image_size=size)
    factors = random_factors(world, 400, seed=6, lawful=lawful)
    factors = factors[world.in_frame(factors)]
    assert len(factors) > 150
    images = (world.render(factors) * 255).round().to(torch.uint8)
    found = world.measure(images)
    scores = r2_score(factors, found, multioutput="raw_values")
    assert scores.min() >= 0.998, dict(zip(NAMES, scores, strict=True))


def test_a_sun_that_the_frame_cuts_is_placed_within_a_tenth_of_a_pixel():
    world = Pendulum()
    light = torch.cat([torch.linspace(54, 56, 20), torch.linspace(125, 132, 20)])
    rest = torch.tensor([[0.0, 5.0, 10.0]]).expand(40, 3)
    factors = torch.cat([rest[:, :1], light[:, None], rest[:, 1:]], 1)
    found = world.measure(world.render(factors))[:, LIGHT]
    sun_x, found_x = (10 + 10 / np.tan(np.radians(a.numpy())) for a in (light, found))
    np.testing.assert_allclose(found_x, sun_x, atol=0.1 * 20 / 64)


def test_a_missing_shadow_has_no_length_and_no_place():
    world = Pendulum()
    factors = random_factors(world, 8, seed=0, lawful=True)
    whole = world.measure(world.render(factors))
    factors[:, LENGTH] = -1.0
    found = world.measure(world.render(factors))
    assert torch.equal(found[:, LENGTH], torch.zeros(8))
    assert torch.isnan(found[:, POSITION]).all()
    torch.testing.assert_close(found[:, :2], whole[:, :2])


def test_a_white_picture_shows_nothing():
    found = Pendulum().measure(torch.ones(2, 3, 64, 64))
    assert torch.equal(found[:, LENGTH], torch.zeros(2))
    assert torch.isnan(found[:, [ANGLE, LIGHT, POSITION]]).all()


def test_in_frame_is_about_both_ends_of_the_bar():
    rows = [(4, 2), (4, 1.9), (4, 18), (4, 18.1), (-1, 10), (20, 10), (20.1, 10)]
    factors = torch.tensor([(0.0, 90.0, *row) for row in rows])
    expected = [True, False, True, False, False, True, False]
    assert Pendulum().in_frame(factors).tolist() == expected
