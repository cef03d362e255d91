"""Each variant breaks what it says it breaks, and nothing else."""

import numpy as np
import pytest
import torch

from caufvae_lite import CausalGraph, Pendulum
from caufvae_lite.studies import identifiability
from caufvae_lite.studies.identifiability import VARIANTS, Variant, data_of


def residual(world: Pendulum):
    """The shadow's noise in units of σ, and the standardised light angle."""
    factors = world.grid().factors
    noise = (factors[:, 2:] - world.law(factors)) / world.noise
    light = factors[:, 1]
    return noise, (light - light.mean()) / light.std()


@pytest.mark.parametrize(
    ("kind", "correlation"),
    [
        (identifiability.HiddenCausePendulum, 0.8),
        (identifiability.BimodalPendulum, 0.0),
        (Pendulum, 0.0),
    ],
)
def test_noise_has_unit_spread_and_the_stated_correlation(kind, correlation):
    noise, light = residual(kind(16, noise=1.5))
    assert noise.std(0) == pytest.approx(1.0, abs=0.03)
    for column in noise.T:
        found = np.corrcoef(column, light)[0, 1]
        assert found == pytest.approx(correlation, abs=0.04)


def test_bimodal_noise_avoids_the_middle():
    noise, _ = residual(identifiability.BimodalPendulum(16, noise=1.5))
    assert (noise.abs() < 0.3).float().mean() < 0.05
    assert ((noise > 0).float().mean(0) - 0.5).abs().max() < 0.03


@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_cloud_hides_the_sun_and_only_the_sun(size):
    clear, clouded = Pendulum(size, noise=1.5), identifiability.CloudedPendulum(size, noise=1.5)
    factors = clear.grid().factors[::100]
    seen, hidden = clear.render(factors), clouded.render(factors)
    top = clouded.hidden_rows
    assert torch.equal(seen[:, :, top:], hidden[:, :, top:])
    assert (hidden[:, :, :top] == 1).all() and (seen[:, :, :top] < 1).any()
    measured = clouded.measure(hidden)
    assert measured[:, 1].isnan().all() and not measured[:, 0].isnan().any()


@pytest.mark.parametrize("name", VARIANTS)
def test_counterfactuals_keep_the_noise_whatever_it_depends_on(name):
    world = VARIANTS[name].world(16, noise=1.5)
    factors = world.grid().factors[:50]
    changed = world.counterfactual(factors, {"light_angle": 80.0})
    assert (changed[:, 1] == 80).all()
    torch.testing.assert_close(
        changed[:, 2:] - world.law(changed), factors[:, 2:] - world.law(factors)
    )


def test_the_labelled_encoder_reads_labels_in_the_loss_only():
    world, train, _ = data_of(VARIANTS["labels in the encoder"])
    model = identifiability.LabelReadingCauFVAE(world.graph, (3, 32, 32))
    torch.nn.init.eye_(model.read.weight)
    images, factors = train.images[:8], train.factors[:8]
    model.adopt_units(train)
    told = model.loss(images, factors, torch.Generator().manual_seed(0))
    unlabelled = torch.full_like(factors, torch.nan)
    untold = model.loss(images, unlabelled, torch.Generator().manual_seed(0))
    assert told["reconstruction"] != untold["reconstruction"]
    before = model.factors(images)
    with torch.no_grad():
        model.read.weight.mul_(3)
    assert torch.equal(before, model.factors(images))


def test_reversed_graph_has_every_arrow_turned():
    graph = CausalGraph(["a", "b", "c"], [("a", "b"), ("b", "c")])
    assert set(identifiability.reversed_graph(graph).edges) == {("b", "a"), ("c", "b")}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_differs_from_the_reference_in_one_thing(name):
    changed = [
        field
        for field in ("world", "labels", "model")
        if getattr(VARIANTS[name], field) != getattr(identifiability.REFERENCE, field)
    ]
    graph = Pendulum(16).graph
    changed += ["graph"] * (VARIANTS[name].graph(graph) != graph)
    assert len(changed) == (name != identifiability.REFERENCE.name)


def test_a_run_is_examined_and_recorded(monkeypatch):
    def small(variant):
        world = variant.world(16, noise=1.5)
        return world, *world.sample(400, seed=0).split("published")

    monkeypatch.setattr(identifiability, "data_of", small)
    monkeypatch.setattr(identifiability, "IMAGE_SIZE", 16)
    monkeypatch.setattr(identifiability, "EPOCHS", 1)
    monkeypatch.setitem(VARIANTS, "tiny", Variant("tiny", "nothing", labels=0.5))
    scores = identifiability.compute(("tiny", identifiability.WORLD, 0))
    named = {(score.cause, score.measure, score.factor) for score in scores}
    assert ("light_angle", "latent r2", "shadow_length") in named
    assert {("", m, "shadow_length") for m in ("r2", "refit", "noise ks")} <= named
    drift = {score.value for score in scores if score.measure == "latent drift"}
    assert drift == {0.0}  # with the right graph nothing else can move
    wrong = Variant("tiny", "the graph", graph=identifiability.reversed_graph)
    monkeypatch.setitem(VARIANTS, "tiny", wrong)
    scores = identifiability.compute(("tiny", identifiability.WORLD, 0))
    drift = {
        score.factor: score.value
        for score in scores
        if (score.cause, score.measure) == ("shadow_length", "latent drift")
    }
    assert drift["light_angle"] > 0 and drift["shadow_position"] == 0
