"""What every world must do, whatever it shows; a third one, from docs/adding_a_world.md."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import r2_score

from caufvae_lite import CausalGraph, FactorDataset
from caufvae_lite.worlds import Machine, Pendulum, StructuralWorld, Water, World

PAGE = Path(__file__).parents[2] / "docs" / "adding_a_world.md"
THE_WORLD, ITS_CHECKS, ITS_USE = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)


def names_of(code, namespace=None):
    """What a block of the page defines, run after an earlier block."""
    namespace = dict(namespace or {"__name__": "page"})
    exec(compile(code, str(PAGE), "exec"), namespace)
    return namespace


Garden = names_of(THE_WORLD)["Garden"]
KINDS = {
    "pendulum": (Pendulum, 0.0),
    "noisy pendulum": (Pendulum, 1.5),
    "water": (Water, 0.0),
    "noisy water": (Water, 0.3),
    "machine": (Machine, 0.0),
    "noisy machine": (Machine, 1.0),
    "garden": (Garden, 0.0),
    "noisy garden": (Garden, 0.5),
}


@pytest.fixture(params=KINDS)
def make(request):
    """Builds the world in the asked size."""
    kind, noise = KINDS[request.param]
    return lambda image_size=16: kind(image_size=image_size, noise=noise)


@pytest.fixture
def world(make):
    return make()


def law_broken(world, n, seed=0):
    """Every factor drawn over its range, whatever its causes say."""
    low, high = np.array([world.ranges[name] for name in world.graph.nodes]).T
    drawn = np.random.default_rng(seed).uniform(low, high, (n, len(low)))
    return torch.as_tensor(drawn, dtype=torch.float32)


def residual(world, factors):
    columns = [world.graph.index(name) for name in world.effects]
    return factors[:, columns] - world.law(factors)


def another_value(world, name):
    low, high = world.ranges[name]
    return 1.0 if name in world.kinds else low + 0.3 * (high - low)


# -------------------------------------------------------------------------- what it says


def test_a_world_says_what_it_is(world):
    assert isinstance(world, World) and isinstance(world, StructuralWorld)
    graph = world.graph
    assert world.effects == tuple(n for n in graph.nodes if graph.parents(n))
    assert set(world.noisy) <= set(world.effects)
    assert set(world.units) == set(world.ranges) == set(graph.nodes)
    assert f"image_size=16, noise={world.noise}" in repr(world)


def test_law_reads_the_parents_and_nothing_else(world):
    factors = law_broken(world, 30)
    for column, effect in enumerate(world.effects):
        for name in world.graph.nodes:
            changed = factors.clone()
            changed[:, world.graph.index(name)] = another_value(world, name)
            same = torch.equal(world.law(changed)[:, column], world.law(factors)[:, column])
            assert same is (name not in world.graph.parents(effect)), (effect, name)


# ----------------------------------------------------------------------- samples, noise


def test_sample_is_a_function_of_the_seed(world):
    one, same, other = (world.sample(40, seed=s) for s in (1, 1, 2))
    assert isinstance(one, FactorDataset) and one.graph == world.graph
    assert torch.equal(one.factors, same.factors) and torch.equal(one.images, same.images)
    assert not torch.equal(one.factors, other.factors)


def test_samples_show_their_factors(world):
    drawn = world.sample(20, seed=0)
    expected = (world.render(drawn.factors) * 255).round()
    torch.testing.assert_close(drawn.images.float(), expected, atol=0, rtol=0)


def test_roots_fill_their_ranges_and_depend_on_nothing(world):
    factors = world.sample(2000, seed=0).factors
    roots = [world.graph.index(name) for name in world.graph.roots]
    low, high = torch.tensor([world.ranges[name] for name in world.graph.roots]).T
    places = (factors[:, roots] - low) / (high - low)
    assert (places >= 0).all() and (places <= 1 + 1e-6).all()
    assert (places.amin(0) < 0.01).all() and (places.amax(0) > 0.99).all()
    assert (places.mean(0) - 0.5).abs().max() < 5 / (12 * 2000) ** 0.5
    if len(roots) > 1:
        assert abs(np.corrcoef(places.T.numpy())[0, 1]) < 5 / 2000**0.5


def test_noise_is_alive_where_it_is_said_to_be_and_told_apart_from_the_causes(world):
    factors = world.sample(2000, seed=0).factors
    noise = residual(world, factors)
    for column, effect in enumerate(world.effects):
        alive = noise[:, column].std() > 1e-3
        assert bool(alive) is (effect in world.noisy)
        for cause in world.graph.parents(effect) if alive else ():
            values = factors[:, world.graph.index(cause)]
            assert abs(np.corrcoef(noise[:, column], values)[0, 1]) < 5 / 2000**0.5


def test_under_do_the_same_seed_draws_the_same_roots_and_noise(world):
    for name in world.graph.nodes:
        value = another_value(world, name)
        plain, changed = (world.sample(50, 3, do).factors for do in (None, {name: value}))
        i = world.graph.index(name)
        assert (changed[:, i] == torch.tensor(value)).all()
        untouched = [n for n in world.graph.nodes if n not in world.graph.affected([name])]
        for other in map(world.graph.index, untouched):
            assert torch.equal(changed[:, other], plain[:, other])
        others = [k for k, effect in enumerate(world.effects) if effect != name]
        noise = [residual(world, f)[:, others] for f in (plain, changed)]
        torch.testing.assert_close(*noise, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("n", [0, 1])
def test_few_rows_or_none(make, n):
    world = make(8)
    drawn = world.sample(n, seed=0)
    assert drawn.images.shape == (n, 3, 8, 8) and drawn.factors.shape == (n, len(world.graph))
    assert world.measure(drawn.images).shape == drawn.factors.shape
    again = world.counterfactual(drawn.factors, {world.graph.roots[0]: 1.0})
    assert again.shape == drawn.factors.shape


# ----------------------------------------------------------------------- counterfactuals


def test_counterfactuals_hold_every_residual(world):
    factors = law_broken(world, 50)
    before = residual(world, factors)
    for name in world.graph.nodes:
        found = world.counterfactual(factors, {name: another_value(world, name)})
        held = [k for k, effect in enumerate(world.effects) if effect != name]
        torch.testing.assert_close(
            residual(world, found)[:, held], before[:, held], atol=1e-4, rtol=1e-4
        )


def test_what_do_cannot_reach_is_kept_bit_by_bit(world):
    factors = law_broken(world, 50)
    given = factors.clone()
    for name in world.graph.nodes:
        found = world.counterfactual(factors, {name: another_value(world, name)})
        for other in set(world.graph.nodes) - set(world.graph.affected([name])):
            i = world.graph.index(other)
            assert torch.equal(found[:, i], factors[:, i])
    assert torch.equal(factors, given)


def test_doing_nothing_changes_nothing_and_doing_everything_decides_everything(world):
    factors, asked = law_broken(world, 20, seed=0), law_broken(world, 20, seed=1)
    assert torch.equal(world.counterfactual(factors, {}), factors)
    do = {name: asked[:, world.graph.index(name)] for name in world.graph.nodes}
    assert torch.equal(world.counterfactual(factors, do), asked)


def test_roots_set_one_after_the_other_or_together_and_set_back(world):
    factors, state = law_broken(world, 20), law_broken(world, 20)
    do = {name: another_value(world, name) for name in world.graph.roots}
    for name, value in do.items():
        state = world.counterfactual(state, {name: value})
    together = world.counterfactual(factors, do)
    torch.testing.assert_close(state, together, atol=1e-3, rtol=0)
    undo = {name: factors[:, world.graph.index(name)] for name in do}
    back = world.counterfactual(together, undo)
    torch.testing.assert_close(back, factors, atol=1e-3, rtol=0)


def test_a_lawful_counterfactual_is_what_the_same_noise_would_have_drawn(world):
    name = world.graph.roots[0]
    do = {name: another_value(world, name)}
    facts, other = world.sample(50, 4).factors, world.sample(50, 4, do).factors
    torch.testing.assert_close(world.counterfactual(facts, do), other, atol=1e-3, rtol=1e-4)


def test_support_is_where_the_noise_can_lead(world):
    factors = world.sample(1000, seed=0).factors
    for name in world.noisy:
        near = world.in_support(factors, name)
        assert near.shape == (1000,) and near.dtype == torch.bool
        assert near.float().mean() > 0.99
        far = factors.clone()
        far[:, world.graph.index(name)] += 1000
        assert not world.in_support(far, name).any()
    for name in set(world.graph.nodes) - set(world.noisy):
        with pytest.raises(ValueError, match=f"{name}.*no noise"):
            world.in_support(factors, name)


# -------------------------------------------------------------------- camera and ruler


@pytest.mark.parametrize("size", [8, 33])
def test_pictures_have_the_asked_size_and_range(make, size):
    world = make(size)
    factors = law_broken(world, 5)
    images = world.render(torch.cat([factors, 30 * factors, -factors]))
    assert images.shape == (15, 3, size, size) and images.dtype == torch.float32
    assert (images >= 0).all() and (images <= 1).all()


def test_pictures_do_not_depend_on_their_batch(world):
    factors = law_broken(world, 70)
    apart = torch.cat([world.render(row[None]) for row in factors])
    torch.testing.assert_close(world.render(factors), apart, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [32, 64])
def test_the_ruler_reads_pictures_that_break_the_law(make, size):
    world = make(size)
    factors = law_broken(world, 600)
    factors = factors[world.in_frame(factors)]
    assert len(factors) > 300
    images = (world.render(factors) * 255).round().to(torch.uint8)
    scores = r2_score(factors, world.measure(images), multioutput="raw_values")
    assert scores.min() >= 0.99, dict(zip(world.graph.nodes, scores, strict=True))


def test_a_white_picture_shows_nothing_but_lengths_of_zero(world):
    found = world.measure(torch.ones(2, 3, 64, 64))
    assert (torch.isnan(found) | (found == 0)).all() and torch.isnan(found).any()


# ------------------------------------------------------------------------------ refusals


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_factors_that_are_not_finite_are_refused(world, value):
    factors = torch.full((2, len(world.graph)), value)
    for call in (world.render, lambda f: world.counterfactual(f, {})):
        with pytest.raises(ValueError, match="NaN or an infinite"):
            call(factors)


@pytest.mark.parametrize("extra", [(), (1, 1)])
def test_factors_of_a_wrong_shape_are_refused(world, extra):
    d = len(world.graph)
    with pytest.raises(ValueError, match=rf"\(n, {d}\)"):
        world.counterfactual(torch.zeros((d, *extra)), {})


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 1, 16, 16)])
def test_pictures_of_a_wrong_shape_are_refused(world, shape):
    with pytest.raises(ValueError, match=r"\(n, 3, h, w\)"):
        world.measure(torch.ones(shape))


def test_impossible_worlds_are_refused(make):
    with pytest.raises(ValueError, match="at least 8 pixels"):
        make(7)
    for noise in (-1.0, np.nan):
        with pytest.raises(ValueError, match="standard deviation"):
            type(make())(noise=noise)


def test_wrong_interventions_are_refused(world):
    root = world.graph.roots[0]
    with pytest.raises(ValueError, match="zebra"):
        world.counterfactual(law_broken(world, 2), {"zebra": 1.0})
    with pytest.raises(ValueError, match=rf"{root}.*NaN"):
        world.sample(3, 0, {root: np.nan})


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ({"a": (0, 1)}, "every factor once"),
        ({"a": (0, 1), "b": (0, 1), "c": (0, 1)}, "every factor once"),
        ({"a": (0, 1), "b": (1, 1)}, "range of 'b'"),
        ({"a": (0, np.inf), "b": (0, 1)}, "range of 'a'"),
    ],
)
def test_ranges_must_suit_the_graph(ranges, message):
    class Two(Garden):
        def __init__(self):
            graph = CausalGraph(["a", "b"], [("a", "b")])
            StructuralWorld.__init__(self, graph, ranges)

    with pytest.raises(ValueError, match=message):
        Two()


@pytest.mark.parametrize("method", ["law", "exogenous"])
def test_a_method_that_forgets_an_effect_is_told_so(method):
    class Forgetful(Garden):
        pass

    setattr(Forgetful, method, lambda self, factors, *_: factors[:, :1])
    with pytest.raises(ValueError, match=rf"Forgetful.{method}\(\) must return \(5, 2\)"):
        Forgetful(8).sample(5, seed=0)


def test_a_world_without_a_law_or_a_ruler_cannot_be_built():
    class Half(StructuralWorld):
        def law(self, factors):
            return factors

    with pytest.raises(TypeError, match="measure"):
        Half(CausalGraph(["a"]), {"a": (0, 1)})


# ---------------------------------------------------------------------------- the page


def test_the_third_worlds_page_checks_what_it_says():
    torch.manual_seed(0)
    names_of(ITS_CHECKS, names_of(THE_WORLD))


def test_the_third_world_runs_through_training_and_examination():
    found = names_of(ITS_USE, names_of(THE_WORLD))
    what_if, test, scores = (found[name] for name in ("what_if", "test", "scores"))
    assert what_if.images.shape == test.images.shape
    assert torch.allclose(what_if.factors[:, 1], torch.tensor(2.0), atol=1e-4)
    values = {(s.cause, s.measure, s.factor): s.value for s in scores}
    for name in (("rain", "latent r2", "plant"), ("soil", "image r2", "plant")):
        assert np.isfinite(values[name]), name
    assert np.isfinite(values["plant", "drift", "rain"])
