"""Water beside the published formulas and matplotlib; the rest is in test_worlds."""

import math

import matplotlib
import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Circle, Rectangle
from scipy.ndimage import gaussian_filter
from sklearn.metrics import r2_score

from caufvae_lite.worlds import Water
from caufvae_lite.worlds.drawing import disc_corner

NAMES = ("ball_radius", "water_height", "hole_height", "reach")
BALL, HEIGHT, HOLE, REACH = range(4)


def torricelli(height, hole):
    return np.sqrt(1.96 * height * (hole - 0.5))


def law_broken(n, seed=0):
    low, high = np.array([Water().ranges[name] for name in NAMES]).T
    drawn = np.random.default_rng(seed).uniform(low, high, (n, 4))
    return torch.as_tensor(drawn, dtype=torch.float32)


@pytest.fixture(scope="module")
def grid():
    return Water(image_size=8).grid()


# ----------------------------------------------------------------------------- the laws


def test_graph_and_units():
    graph = Water().graph
    assert graph.nodes == NAMES
    edges = [(NAMES[BALL], NAMES[HEIGHT]), (NAMES[HEIGHT], NAMES[REACH])]
    assert set(graph.edges) == {*edges, (NAMES[HOLE], NAMES[REACH])}
    assert set(Water().units.values()) == {"axis units"}


def test_grid_is_the_published_one(grid):
    rows = []
    for r in range(5, 35):
        for h in range(10, 40):
            for hole in range(6, 15):
                height = (r / 30) ** 3 + h / 10
                rows.append((r / 30, height, hole / 3, torricelli(height, hole / 3)))
    assert len(grid) == len(rows) == 8100
    np.testing.assert_allclose(grid.factors, rows, atol=1e-5)


def test_every_fourth_row_of_the_grid_is_test_and_every_value_is_in_both(grid):
    parts = grid.split("published")
    assert [len(part) for part in parts] == [6075, 2025]
    for column, values in ((BALL, 30), (HOLE, 9)):
        assert [len(part.factors[:, column].unique()) for part in parts] == [values] * 2


def test_grids_noise_is_seeded_and_in_reach_alone(grid, monkeypatch):
    monkeypatch.setattr(Water, "render", lambda _, rows: torch.zeros(len(rows), 3, 8, 8))
    noisy = [Water(8, noise=0.3).grid(seed=s).factors for s in (0, 0, 1)]
    assert torch.equal(noisy[0], noisy[1]) and not torch.equal(noisy[0], noisy[2])
    assert torch.equal(noisy[0][:, :REACH], grid.factors[:, :REACH])
    error = noisy[0][:, REACH] - grid.factors[:, REACH]
    assert error.std() == pytest.approx(0.3, abs=5 * 0.3 / math.sqrt(2 * 8100))
    assert abs(error.mean()) < 5 * 0.3 / math.sqrt(8100)


def test_ranges_hold_the_grid_and_not_much_more(grid):
    for i, name in enumerate(NAMES):
        low, high = Water().ranges[name]
        column = grid.factors[:, i]
        assert low - 1e-6 <= column.min() < low + 0.1
        assert high - 0.1 < column.max() <= high + 1e-6


def test_law_has_a_value_where_nothing_can_flow():
    rows = [(-1.0, 3.0, 3.0, 1.0), (1.0, -2.0, 3.0, 1.0), (1.0, 3.0, 0.2, 1.0),
            (1.0, -2.0, 0.2, 1.0)]  # fmt: skip
    found = Water().law(torch.tensor(rows))
    assert found[:, 0].tolist() == [0, 1, 1, 1] and found[1:, 1].tolist() == [0, 0, 0]


def test_the_waters_own_noise_is_uniform_and_reach_has_what_is_asked():
    factors = Water(8, noise=0.2).sample(4000, seed=0).factors.numpy().astype(np.float64)
    raw = np.sort(factors[:, HEIGHT] - factors[:, BALL] ** 3)
    expected = 1.0 + 2.9 * (np.arange(4000) + 0.5) / 4000
    assert np.abs(raw - expected).max() < 2.9 * 1.95 / math.sqrt(4000)  # Kolmogorov–Smirnov
    error = factors[:, REACH] - torricelli(factors[:, HEIGHT], factors[:, HOLE])
    assert error.std() == pytest.approx(0.2, abs=5 * 0.2 / math.sqrt(8000))
    assert abs(np.corrcoef(error, raw)[0, 1]) < 5 / math.sqrt(4000)


@pytest.mark.parametrize(("noise", "noisy"), [(0.0, NAMES[1:2]), (0.1, NAMES[1::2])])
def test_height_is_always_noisy_and_reach_where_asked(noise, noisy):
    assert tuple(Water(noise=noise).noisy) == noisy


def test_height_is_in_support_where_its_noise_is_drawn():
    raw = torch.tensor([0.9, 1.0, 2.0, 3.9, 4.0])
    factors = torch.stack([torch.ones(5), 1 + raw, torch.full((5,), 3.0), torch.ones(5)], -1)
    found = Water().in_support(factors, "water_height")
    assert found.tolist() == [False, True, True, True, False]
    reach = torricelli(3.0, 3.0) + np.array([-0.7, -0.5, 0.0, 0.5, 0.7])
    factors[:, HEIGHT], factors[:, REACH] = 3.0, torch.as_tensor(reach)
    found = Water(noise=0.2).in_support(factors, "reach")
    assert found.tolist() == [False, True, True, True, False]


# ----------------------------------------------------------------------- counterfactuals


@pytest.mark.parametrize("noise", [0.0, 0.4])
@pytest.mark.parametrize(
    "do",
    [
        {"ball_radius": 0.9},
        {"hole_height": 2.5},
        {"ball_radius": 0.4, "hole_height": 4.0},
        {"water_height": 2.0},
        {"ball_radius": 0.9, "water_height": 2.0},
        {"ball_radius": 0.9, "reach": 3.0},
    ],
    ids=lambda do: "+".join(do),
)
def test_counterfactual_by_hand(do, noise):
    facts = Water(8, noise=noise).sample(60, seed=1).factors
    radius, height, hole, reach = facts.numpy().astype(np.float64).T
    raw, error = height - radius**3, reach - torricelli(height, hole)
    radius = np.broadcast_to(do.get("ball_radius", radius), 60)
    height = np.broadcast_to(do.get("water_height", radius**3 + raw), 60)
    hole = np.broadcast_to(do.get("hole_height", hole), 60)
    reach = np.broadcast_to(do.get("reach", torricelli(height, hole) + error), 60)
    found = Water(8, noise=noise).counterfactual(facts, do)
    np.testing.assert_allclose(found, np.stack([radius, height, hole, reach], -1), atol=1e-4)


def test_keeping_the_noise_is_not_redrawing_it():
    world = Water(8)
    facts, do = world.sample(3000, seed=0).factors, {"ball_radius": 0.8}
    kept = world.counterfactual(facts, do)[:, HEIGHT]
    redrawn = world.sample(3000, seed=1, do=do).factors[:, HEIGHT]
    assert kept.std() == pytest.approx(float(redrawn.std()), rel=0.05)
    assert np.corrcoef(kept, facts[:, HEIGHT])[0, 1] > 0.8
    assert abs(np.corrcoef(redrawn, facts[:, HEIGHT])[0, 1]) < 5 / math.sqrt(3000)


# --------------------------------------------------------------------------- the camera


def drawn_by_matplotlib(factors, size):
    """The scene as matplotlib draws it, many times as large, averaged down."""
    radius, height, hole, reach = factors
    finer = 1024 // size
    u = np.linspace(0, 1, 300)
    lines = [((3, 3), (0, 19)), ((8, 8), (0, hole)), ((8, 8), (hole + 0.4, 19))]
    with matplotlib.rc_context({"path.snap": False}):
        figure = Figure(figsize=(1, 1), dpi=size * finer, facecolor="white")
        canvas = FigureCanvasAgg(figure)
        axes = figure.add_axes([0, 0, 1, 1], xlim=(0, 20), ylim=(0, 20))
        axes.set_axis_off()
        water = Rectangle((3, 0), 5, 5 + height, color="lightskyblue", linewidth=0, zorder=1)
        ball = Circle((5.5, radius + 0.5), radius, color="firebrick", linewidth=0, zorder=2)
        axes.add_patch(water)
        axes.add_patch(ball)
        stroke = {"linewidth": 2, "solid_capstyle": "butt"}
        jet = (8 + reach * u, hole - (hole - 0.5) * u**2)
        axes.plot(*jet, color="lightskyblue", zorder=3, **stroke)
        for line in (*lines, ((-1, 21), (0.2, 0.2))):
            axes.plot(*line, color="black", zorder=4, **stroke)
        canvas.draw()
        pixels = np.asarray(canvas.buffer_rgba())[..., :3] / 255
    return pixels.reshape(size, finer, size, finer, 3).mean((1, 3)).transpose(2, 0, 1)


SCENES = torch.cat([Water(8).sample(3, seed=2).factors, law_broken(5, seed=2)])
CLOSE = {32: 1e-3, 64: 2e-4, 96: 1.2e-4}  # where shapes meet within a pixel it mixes them


@pytest.fixture(scope="module")
def references():
    return {
        size: np.stack([drawn_by_matplotlib(f, size) for f in SCENES.double().numpy()])
        for size in CLOSE
    }


def differences(images, reference):
    return np.abs(images.numpy() - reference).mean((1, 2, 3))


@pytest.mark.parametrize("size", [32, 64, 96])
def test_renderer_draws_what_matplotlib_draws(references, size):
    found = differences(Water(size).render(SCENES), references[size])
    assert found.max() < CLOSE[size]


@pytest.mark.parametrize("name", NAMES)
def test_that_comparison_notices_half_a_pixel(references, name):
    moved = SCENES.clone()
    moved[:, NAMES.index(name)] += 0.5 * 20 / 64
    assert differences(Water(64).render(moved), references[64]).min() > CLOSE[64]


@pytest.mark.parametrize("radius", [0.05, 0.3, 1.0, 7.0])
def test_discs_of_any_size_have_the_area_of_a_disc(radius):
    edges = torch.arange(-10.0, 11.0, dtype=torch.float64)
    corner = disc_corner(
        ((edges - 0.3) / radius).view(1, -1), ((edges + 0.2) / radius).view(-1, 1)
    )
    area = corner.diff(dim=0).diff(dim=1) * radius**2
    assert area.sum() == pytest.approx(math.pi * radius**2)
    fine = (torch.arange(0, 20, 0.01, dtype=torch.float64) - 9.995).view(1, -1)
    inside = (fine - 0.3) ** 2 + (fine.T + 0.2) ** 2 < radius**2
    counted = inside.double().reshape(20, 100, 20, 100).mean((1, 3))
    assert (area - counted).abs().max() < 3e-3


def lands_at(image, size):
    """Where the jet's lowest visible row of pixels has its middle, in axis units."""
    row = round(size * (1 - 0.9 / 20))
    blue = (1 - image[0, row]).clip(0, None)[round(size * 8.4 / 20) :]
    x = (np.arange(size)[round(size * 8.4 / 20) :] + 0.5) * 20 / size
    return (blue * x).sum() / blue.sum()


@pytest.mark.parametrize("change", [{}, {"water_height": 0.0}, {"water_height": 12.0},
                                    {"hole_height": 2.0}, {"hole_height": 9.0}])  # fmt: skip
def test_a_jet_lands_where_it_was_told_to(change):
    row = dict(zip(NAMES, (0.7, 3.0, 3.3, 5.0), strict=True)) | change
    image = Water(256).render(torch.tensor([list(row.values())]))[0].numpy()
    hole = row["hole_height"]
    height = 20 * (1 - (round(256 * (1 - 0.9 / 20)) + 0.5) / 256)
    expected = 8 + 5.0 * math.sqrt((hole - height) / (hole - 0.5))
    assert lands_at(image, 256) == pytest.approx(expected, abs=0.03)


def test_a_jet_from_just_above_the_ground_ends_where_it_lands():
    image = Water(128).render(torch.tensor([[0.7, 3.0, 0.6, 4.0]]))[0]
    landed = round(128 * (8 + 4 + 0.1) / 20)
    assert image[0, 123, landed - 8] < 0.9 and (image[:, 123, landed:] == 1).all()


def test_impossible_scenes_are_drawn_as_far_as_they_go():
    world, usual = Water(), torch.tensor([[0.7, 3.0, 3.3, 5.0]])
    dry = world.render(usual * torch.tensor([[1, 1, 1, -1.0]]))
    assert (dry[0, :, :60, 29:] == 1).all()  # outside the cup, above the ground
    whole = world.render(usual)
    for column, value in ((BALL, -0.5), (BALL, 0.05), (HEIGHT, -9.0)):
        scene = usual.clone()
        scene[:, column] = value
        image = world.render(scene)
        assert (image[0, :, :, 29:] == whole[0, :, :, 29:]).all()
        missing = world.measure(image)[0]
        assert missing.isnan().nonzero().flatten().tolist() == [column]
    for column in range(4):
        for value in (1e30, -1e30):
            scene = usual.clone()
            scene[:, column] = value
            image = world.render(scene)
            assert ((image >= 0) & (image <= 1)).all()


# ---------------------------------------------------------------------------- the ruler


def blurred(images):
    return torch.as_tensor(gaussian_filter(images.numpy(), (0, 0, 0.7, 0.7)))


def as_bytes(images):
    return (images * 255).round().to(torch.uint8)


def grainy(images):
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + 0.01 * noise).clamp(0, 1)


@pytest.mark.parametrize("size", [32, 64])
@pytest.mark.parametrize("lawful", [True, False], ids=["lawful", "law broken"])
@pytest.mark.parametrize(
    ("seen", "least"),
    [
        (as_bytes, {32: (0.999, 0.998, 0.994, 0.995), 64: (0.999, 0.999, 0.999, 0.999)}),
        (lambda images: as_bytes(blurred(images)),
         {32: (0.998, 0.999, 0.99, 0.99), 64: (0.999, 0.999, 0.999, 0.999)}),
        (grainy, {32: (0.98, 0.996, 0.993, 0.994), 64: (0.998, 0.999, 0.999, 0.999)}),
    ],
    ids=["bytes", "blurred", "grainy"],
)  # fmt: skip
def test_ruler_reads_what_was_drawn(size, lawful, seen, least):
    world = Water(size)
    factors = world.sample(500, seed=6).factors if lawful else law_broken(500, seed=6)
    assert world.in_frame(factors).all()
    found = world.measure(seen(world.render(factors)))
    missing = found.isnan()
    assert missing.float().mean(0).max() <= 0.01
    for i, name in enumerate(NAMES):
        kept = ~missing[:, i]
        assert r2_score(factors[kept, i], found[kept, i]) >= least[size][i], name


def test_each_factor_is_read_off_its_own_shape():
    """Two scenes cut and pasted: what contradicts is read as it is drawn."""
    world = Water(256)
    one, other = torch.tensor([[0.5, 2.0, 2.4, 3.0], [1.0, 4.5, 4.2, 6.0]])
    left, right = world.render(torch.stack([one, other]))
    pasted = left.clone()
    pasted[:, :, 106:] = right[:, :, 106:]  # from the wall's outer face on: only the jet
    found = world.measure(pasted[None])[0]
    torch.testing.assert_close(found[:REACH], one[:REACH], atol=0.03, rtol=0)
    assert found[REACH] == pytest.approx(6.0, abs=0.1)


def test_a_missing_gap_or_jet_is_missing_alone():
    world, scene = Water(), torch.tensor([[0.7, 3.0, 3.3, 5.0]])
    image = world.render(scene)
    walled, dry = image.clone(), image.clone()
    walled[:, :, :, 24:27] = image[:, :, 20:21, 24:27]  # as the wall is higher up
    dry[:, :, :62, 27:] = 1.0
    whole = world.measure(image)[0]
    for changed, column in ((walled, HOLE), (dry, REACH)):
        found = world.measure(changed)[0]
        assert torch.isnan(found).nonzero().flatten().tolist() == [column]
        others = [i for i in range(4) if i != column]
        torch.testing.assert_close(found[others], whole[others], atol=0.05, rtol=0)


def test_in_frame_says_where_the_ruler_can_be_trusted():
    usual = (0.7, 3.0, 3.3, 5.0)
    limits = {BALL: (0.1, 2.2), HEIGHT: (-3.1, 14.5), HOLE: (1.5, 7.5), REACH: (1.0, 11.5)}
    world = Water()
    for column, (low, high) in limits.items():
        rows = torch.tensor([usual] * 4)
        rows[:, column] = torch.tensor([low - 0.01, low + 0.01, high - 0.01, high + 0.01])
        assert world.in_frame(rows).tolist() == [False, True, True, False], NAMES[column]
        found = world.measure(world.render(rows[1:3]))
        torch.testing.assert_close(found, rows[1:3], atol=0.12, rtol=0)
