"""The machine: eight factors, their laws, and a ruler for each."""

import numpy as np
import pytest
import torch
from sklearn.ensemble import HistGradientBoostingRegressor
from sklearn.linear_model import LinearRegression
from sklearn.metrics import r2_score
from sklearn.preprocessing import SplineTransformer

from caufvae_lite.worlds import Machine
from caufvae_lite.worlds.machine import SPREAD

NAMES = ("lever", "valve", "power", "gear", "piston", "level", "lamp", "needle")


@pytest.fixture(scope="module")
def machine():
    return Machine(image_size=64, noise=1.0)


def unlawful(machine, n, seed=0):
    """Every factor over its usual range, whatever its causes say."""
    low, high = np.array([machine.ranges[name] for name in NAMES]).T
    drawn = np.random.default_rng(seed).uniform(low, high, (n, 8)).astype(np.float32)
    drawn[:, 2] = drawn[:, 2].round()
    return torch.from_numpy(drawn)


# ------------------------------------------------------------------------ graph and laws


def test_its_graph_is_a_chain_of_six_with_two_causes_from_the_side(machine):
    graph = machine.graph
    assert graph.nodes == NAMES and len(graph.edges) == 7
    assert graph.roots == ("lever", "valve", "power")
    assert len(graph.generations) == 6
    assert graph.parents("level") == ("valve", "piston")
    assert graph.parents("lamp") == ("power", "level")
    assert machine.sample(5, 0).kinds["power"] == "binary"


def test_laws_are_those_of_the_docstring(machine):
    factors = unlawful(machine, 200)
    lever, valve, power, gear, piston, level, lamp, _ = factors.double().numpy().T
    expected = [
        1.5 * lever,
        3 + 2.5 * np.sin(np.radians(gear)),
        0.6 + valve * piston,
        0.15 + 0.75 * power * level**2 / (level**2 + 6),
        -55 + 170 * lamp**2,
    ]
    np.testing.assert_allclose(
        machine.law(factors), np.stack(expected, 1), rtol=1e-4, atol=1e-4
    )


def test_power_is_on_or_off_with_even_odds_and_nothing_between(machine):
    power = machine.sample(2000, 0).factors[:, 2]
    assert set(power.tolist()) == {0.0, 1.0} and abs(power.mean() - 0.5) < 5 / (4 * 2000) ** 0.5
    with pytest.raises(ValueError, match="'power' is binary"):
        machine.sample(5, 0, do={"power": 0.4})


def test_noise_is_alive_at_every_effect_in_its_own_unit(machine):
    factors = machine.sample(4000, 0).factors
    noise = factors[:, 3:] - machine.law(factors)
    np.testing.assert_allclose(noise.std(0) / torch.tensor(SPREAD), 1, atol=0.06)
    assert (abs(np.corrcoef(noise.T) - np.eye(5)) < 5 / 4000**0.5).all()
    assert set(machine.noisy) == set(NAMES[3:])
    assert machine.noisy["lamp"] == pytest.approx((-0.09, 0.09))
    assert Machine().noisy == {}


def test_almost_every_sample_is_within_its_usual_ranges_and_the_rulers(machine):
    factors = machine.sample(4000, 1).factors
    low, high = torch.tensor([machine.ranges[name] for name in NAMES]).T
    inside = (factors >= low - 1e-6) & (factors <= high + 1e-6)
    assert inside.float().mean(0).min() > 0.98
    assert machine.in_frame(factors).float().mean() > 0.999


def test_no_sum_of_functions_of_single_causes_expresses_level_or_lamp():
    """An additive spline model stays behind; trees, which may combine causes, do not."""
    factors = Machine(16).sample(4000, 0).factors.numpy()
    for causes, effect in (((1, 4), 5), ((2, 5), 6)):
        x, y = factors[:, list(causes)], factors[:, effect]
        rows = slice(0, 3000), slice(3000, 4000)
        additive = LinearRegression()
        splines = SplineTransformer(8).fit_transform(x + 1e-6 * np.arange(2))
        additive.fit(splines[rows[0]], y[rows[0]])
        trees = HistGradientBoostingRegressor().fit(x[rows[0]], y[rows[0]])
        sums = r2_score(y[rows[1]], additive.predict(splines[rows[1]]))
        both = r2_score(y[rows[1]], trees.predict(x[rows[1]]))
        assert both > 0.99 > 0.97 > sums, (effect, sums, both)


def test_a_counterfactual_runs_down_the_whole_chain_with_its_noise(machine):
    factors = machine.sample(300, 0).factors
    asked = factors[torch.randperm(300), 0]
    after = machine.counterfactual(factors, {"lever": asked})
    noise = factors[:, 3:] - machine.law(factors)
    torch.testing.assert_close(after[:, 3:] - machine.law(after), noise, atol=1e-4, rtol=0)
    assert torch.equal(after[:, 1:3], factors[:, 1:3])
    off = machine.counterfactual(factors, {"power": 0.0})
    assert torch.equal(off[:, [0, 1, 3, 4, 5]], factors[:, [0, 1, 3, 4, 5]])
    assert (off[:, 2] == 0).all() and (off[:, 6] < 0.3).all()


# ------------------------------------------------------------------------------- options


def test_a_hidden_cause_shakes_gear_and_needle_alike():
    machine = Machine(16, noise=1.0, hidden=0.8)
    factors = machine.sample(4000, 0).factors
    noise = (factors[:, 3:] - machine.law(factors)).numpy()
    found = np.corrcoef(noise.T)
    assert found[0, 4] == pytest.approx(0.8, abs=0.03)
    found[[0, 4], [4, 0]] = 0
    assert (abs(found - np.eye(5)) < 5 / 4000**0.5).all()
    np.testing.assert_allclose(noise.std(0) / SPREAD, 1, atol=0.06)
    with pytest.raises(ValueError, match="correlation"):
        Machine(hidden=1.2)


def test_behind_the_guard_the_gears_mark_is_missing_and_nothing_else():
    machine = Machine(64, guard=True)
    factors = unlawful(machine, 400)
    found = machine.measure(machine.render(factors))
    gear = factors[:, 3]
    assert found[gear > 40, 3].isnan().all() and not found[gear < -40, 3].isnan().any()
    rest = [0, 1, 2, 4, 5, 6, 7]
    open_ = Machine(64).measure(Machine(64).render(factors))
    torch.testing.assert_close(found[:, rest], open_[:, rest])
    free = gear < -40
    torch.testing.assert_close(found[free], open_[free])


# --------------------------------------------------------------------- pictures and ruler


def by_points(factors, size, fine=16):
    """The scene at ``fine``² points a pixel, each of one colour: drawn without our shapes."""
    lever, valve, power, gear, piston, level, lamp, needle = map(float, factors)
    at = (np.arange(size * fine) + 0.5) * 20 / (size * fine)
    x, y = np.meshgrid(at, 20 - at)
    picture = np.ones((size * fine, size * fine, 3))
    black, red = (0, 0, 0), (178 / 255, 34 / 255, 34 / 255)
    orange, blue = (1, 165 / 255, 0), (135 / 255, 206 / 255, 250 / 255)

    def block(left, right, bottom, top, colour):
        picture[(x >= left) & (x <= right) & (y >= bottom) & (y <= top)] = colour

    def disc(cx, cy, radius, colour):
        picture[np.hypot(x - cx, y - cy) <= radius] = colour

    def turned(hx, hy, length, degrees, radius):
        dx, dy = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
        along, aside = (x - hx) * dx + (y - hy) * dy, (x - hx) * dy - (y - hy) * dx
        picture[(along >= 0) & (along <= length) & (abs(aside) <= 0.2)] = black
        disc(hx + length * dx, hy + length * dy, radius, red)

    block(14, 18, 0.6, 1 + level, blue)
    for left, right, bottom, top in ((14, 18, 1, 10), (8.4, 11.6, 7, 15)):
        block(left - 0.2, left + 0.2, bottom, top, black)
        block(right - 0.2, right + 0.2, bottom, top, black)
        block(left - 0.2, right + 0.2, bottom - 0.4, bottom, black)
    block(12.6, 13.4, 9.5, 9.5 + 3 * valve, orange)
    turned(3.6, 1.2, 4.2, lever, 0.9)
    disc(10, 4, 2.6, orange)
    turn = np.radians(gear)
    disc(10 + 1.5 * np.sin(turn), 4 + 1.5 * np.cos(turn), 0.95, red)
    block(9.8, 10.2, 6.6, 8 + piston, black)
    block(8.7, 11.3, 7.4 + piston, 8.6 + piston, red)
    block(2.4, 4.6, 17.0, 17.4, black)
    disc(2.4 + 2.2 * power, 17.2, 0.9, red)
    disc(9.4, 17.3, 1.9, tuple(lamp * c for c in orange))
    turned(16, 14.2, 3.2, needle, 0.7)
    picture = picture.reshape(size, fine, size, fine, 3).mean((1, 3))
    return torch.from_numpy(picture).permute(2, 0, 1).float()


@pytest.mark.parametrize("size", [32, 64])
def test_pictures_equal_an_independent_drawing(size):
    machine = Machine(size)
    factors = unlawful(machine, 4, seed=1)
    drawn = machine.render(factors)
    for own, row in zip(drawn, factors, strict=True):
        away = (own - by_points(row, size)).abs()
        assert away.mean() < 0.12 / size and away.max() < 0.2  # it is at edges that differ
        moved = row.clone()
        moved[4] += 0.3  # and half a pixel or a pixel of the piston would be noticed
        assert (own - by_points(moved, size)).abs().max() > 0.25


@pytest.mark.parametrize(("size", "least"), [(32, 0.999), (64, 0.9999)])
def test_the_ruler_reads_machines_that_break_their_laws(size, least):
    machine = Machine(size)
    factors = unlawful(machine, 1000)
    found = machine.measure((machine.render(factors) * 255).round().to(torch.uint8))
    for i, name in enumerate(NAMES):
        assert r2_score(factors[:, i], found[:, i]) > least, name


def test_the_ruler_reads_soft_and_noisy_pictures(machine):
    factors = unlawful(machine, 300)
    kernel = torch.exp(-(torch.arange(-3.0, 4) ** 2) / (2 * 0.7**2))
    kernel = torch.outer(kernel, kernel) / kernel.sum() ** 2
    weight = kernel.expand(3, 1, 7, 7)
    soft = torch.nn.functional.pad(machine.render(factors), [3] * 4, mode="replicate")
    soft = torch.nn.functional.conv2d(soft, weight, groups=3)
    noise = 0.01 * torch.randn(soft.shape, generator=torch.Generator().manual_seed(0))
    found = machine.measure((soft + noise).clamp(0, 1))
    for i, name in enumerate(NAMES):
        assert r2_score(factors[:, i], found[:, i]) > 0.97, name


def test_what_the_ruler_cannot_see_is_missing(machine):
    factors = unlawful(machine, 2)
    factors[:, 5] = -1.0  # no water
    factors[:, 1] = 0.0  # a closed valve has no height
    found = machine.measure(machine.render(factors))
    assert found[:, [1, 5]].isnan().all()
    assert not found[:, [0, 2, 3, 4, 6, 7]].isnan().any()
    assert not machine.in_frame(factors).any()
