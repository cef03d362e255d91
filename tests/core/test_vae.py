import inspect
import math

import pytest
import torch
from scipy.stats import norm
from torch.distributions import Normal

from caufvae_lite import CauFVAE, CausalGraph, FactorDataset, FactorModel, answers, fit
from caufvae_lite.metrics import r2

SHAPE = (3, 16, 16)
TERMS = {"reconstruction", "kl", "supervision", "label_likelihood", "total"}
PRIORS = pytest.mark.parametrize("prior", ["scm", "label"])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def labels_for(model, n, seed=0):
    return model.mean + model.std * torch.randn(n, len(model.graph), generator=seeded(seed))


def with_binary(model, *names):
    for name in names:
        i = model.graph.index(name)
        model.binary[i], model.mean[i], model.std[i] = True, 0.0, 1.0
        model.binary_latents[:, i] = torch.tensor([-1.5, 2.5])
    return model


# ----------------------------------------------------------------------------- the loss


@PRIORS
@pytest.mark.parametrize("extra_dims", [0, 2])
def test_the_total_is_the_sum_of_the_terms(new_model, diamond, pictures, prior, extra_dims):
    model = new_model(diamond, prior=prior, extra_dims=extra_dims)
    terms = model.loss(pictures(5), labels_for(model, 5), seeded())
    assert terms.keys() == TERMS
    parts = sum(terms[t] for t in TERMS - {"total"})
    torch.testing.assert_close(terms["total"], parts)
    assert all(t.shape == () and torch.isfinite(t) for t in terms.values())
    assert isinstance(model, FactorModel)


def test_reconstruction_is_the_cross_entropy_of_the_drawn_picture(new_model, diamond, pictures):
    model, images = new_model(diamond, extra_dims=1).double(), pictures(4).double()
    q = model.encode(images).base_dist
    noise = q.mean + q.stddev * torch.randn(4, 5, generator=seeded()).double()
    latents = model.flow(noise[:, :4])[0]
    p = torch.sigmoid(model.draw(latents, noise[:, 4:]))
    expected = -(images * p.log() + (1 - images) * (1 - p).log()).sum() / 4
    found = model.loss(images, torch.full((4, 4), math.nan), seeded())["reconstruction"]
    torch.testing.assert_close(found, expected)


def test_supervision_is_the_squared_error_in_standard_deviations(new_model, diamond, pictures):
    model, images = new_model(diamond, supervision=3.0), pictures(6)
    labels = labels_for(model, 6)
    error = ((model.factors(images) - labels) / model.std).square()
    found = model.loss(images, labels)["supervision"]
    torch.testing.assert_close(found, 3 * error.mean(0).sum(), rtol=1e-4, atol=1e-5)
    labels[:4, 1] = math.nan
    error = ((model.factors(images) - labels) / model.std).square()
    found = model.loss(images, labels)["supervision"]
    torch.testing.assert_close(found, 3 * error.nanmean(0).sum(), rtol=1e-4, atol=1e-5)


def test_label_likelihood_is_the_flows(new_model, diamond, pictures):
    model = new_model(diamond, label_likelihood=2.0)
    labels = labels_for(model, 6)
    expected = -2 * model.flow.log_prob((labels - model.mean) / model.std).mean()
    torch.testing.assert_close(model.loss(pictures(6), labels)["label_likelihood"], expected)


@pytest.mark.parametrize("term", ["label_likelihood", "supervision"])
def test_a_weight_of_zero_switches_its_term_off(new_model, diamond, pictures, term):
    model = new_model(diamond, **{term: 0.0})
    assert model.loss(pictures(4), labels_for(model, 4))[term] == 0


@pytest.mark.parametrize("extra_dims", [0, 2])
def test_the_scm_priors_kl_agrees_with_monte_carlo(new_model, diamond, pictures, extra_dims):
    model, images = new_model(diamond, extra_dims=extra_dims), pictures(3)
    with torch.no_grad():
        kl = model.loss(images, torch.full((3, 4), math.nan))["kl"].item()
        q = model.encode(images)
        torch.manual_seed(0)
        noise = q.sample((20_000,))
        ratio = (q.log_prob(noise) - Normal(0.0, 1.0).log_prob(noise).sum(-1)).mean(-1)
    error = ratio.std().item() / math.sqrt(len(ratio))
    assert error < 0.05 * kl
    assert kl == pytest.approx(ratio.mean().item(), abs=5 * error)


def test_the_label_priors_kl_is_the_one_drawn_with_a_brute_force_jacobian(
    new_model, diamond, pictures, jacobian
):
    model = new_model(diamond, prior="label").double()
    images, labels = pictures(5).double(), labels_for(model, 5)
    labels[0], labels[1, 2] = math.nan, math.nan
    found = model.loss(images, labels, seeded())["kl"]
    with torch.no_grad():
        q = model.encode(images).base_dist
        noise = q.mean + q.stddev * torch.randn(5, 4, generator=seeded()).double()
        factors = model.flow(noise)[0]
        log_q = -0.5 * ((noise - q.mean) / q.stddev).square() - q.stddev.log()
        given = model.label_prior((labels - model.mean) / model.std)
        log_p = -0.5 * ((factors - given.mean) / given.stddev).square() - given.stddev.log()
    log_det = torch.linalg.slogdet(jacobian(lambda e: model.flow(e)[0], noise))[1]
    torch.testing.assert_close(found, (log_q.sum(-1) - log_det - log_p.sum(-1)).mean())


def test_the_label_prior_is_standard_where_a_label_is_missing(new_model, diamond):
    prior = new_model(diamond, prior="label").label_prior
    labels = torch.randn(5, 4, generator=seeded())
    missing = torch.rand(5, 4, generator=seeded()) < 0.4
    given, full = prior(labels.masked_fill(missing, math.nan)), prior(labels)
    assert (given.mean[missing] == 0).all() and (given.stddev[missing] == 1).all()
    assert torch.equal(given.mean[~missing], full.mean[~missing])
    assert (full.stddev[missing] != 1).all()


@PRIORS
@pytest.mark.parametrize("where", ["one", "row", "column", "random", "all"])
def test_missing_labels_leave_loss_and_gradient_finite(
    new_model, diamond, pictures, prior, where
):
    model = new_model(diamond, prior=prior)
    labels = labels_for(model, 6)
    missing = torch.zeros(6, 4, dtype=torch.bool)
    rows, columns = {
        "one": (2, 1), "row": (3, slice(None)), "column": (slice(None), 2),
        "random": (slice(None), slice(None)), "all": (slice(None), slice(None)),
    }[where]  # fmt: skip
    missing[rows, columns] = True
    if where == "random":
        missing &= torch.rand(6, 4, generator=seeded()) < 0.5
    terms = model.loss(pictures(6), labels.masked_fill(missing, math.nan), seeded())
    terms["total"].backward()
    assert torch.isfinite(terms["total"])
    for name, p in model.named_parameters():
        assert p.grad is None or torch.isfinite(p.grad).all(), name
    if where == "all":
        assert terms["supervision"] == 0 and terms["label_likelihood"] == 0


@PRIORS
def test_gradient_reaches_every_parameter(new_model, diamond, pictures, prior):
    model = new_model(diamond, prior=prior, extra_dims=1)
    model.loss(pictures(6), labels_for(model, 6), seeded())["total"].backward()
    for name, p in model.named_parameters():
        assert p.grad is not None and p.grad.ne(0).any(), name


# ------------------------------------------------- the encoder, and what it must not see


def test_the_encoder_never_sees_labels(new_model, diamond, pictures):
    model, images = new_model(diamond), pictures(5)
    assert list(inspect.signature(model.encode).parameters) == ["images"]
    assert "labels" not in inspect.signature(model.factors).parameters
    one, other = (model.loss(images, labels_for(model, 5, s), seeded()) for s in (0, 1))
    assert one["supervision"] != other["supervision"]
    assert torch.equal(one["reconstruction"], other["reconstruction"])
    assert torch.equal(one["kl"], other["kl"])


def test_the_posterior_is_centred_on_the_noise_of_the_factors(new_model, diamond, pictures):
    model, images = new_model(diamond, extra_dims=2).double(), pictures(5).double()
    q = model.encode(images)
    assert q.mean.shape == (5, 6) and q.event_shape == (6,)
    latents = (model.factors(images) - model.mean) / model.std
    torch.testing.assert_close(model.flow.inverse(latents)[0], q.mean[:, :4])


def test_bytes_and_floats_are_the_same_picture(new_model, diamond, pictures):
    model = new_model(diamond)
    as_bytes = (pictures(4) * 255).round().to(torch.uint8)
    assert torch.equal(model.factors(as_bytes), model.factors(as_bytes.float() / 255))


def test_long_inputs_are_taken_in_parts(new_model, diamond, pictures, monkeypatch):
    model, images = new_model(diamond, extra_dims=1), pictures(8)
    do = {"left": torch.linspace(-2, 2, 8), "end": 1.0}
    whole = model.counterfactual(images, do)
    monkeypatch.setattr(answers, "INFERENCE_BATCH", 3)
    parts = model.counterfactual(images, do)
    torch.testing.assert_close(parts.factors, whole.factors, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(parts.images, whole.images, rtol=1e-4, atol=1e-4)
    assert model.counterfactual(images, do, samples=2, seed=0).factors.shape == (2, 8, 4)
    assert model.sample(8, seed=0).images.shape == (8, *SHAPE)


# ------------------------------------------------------- counterfactuals, interventions


@PRIORS
@pytest.mark.parametrize("names", [["left"], ["middle"], ["end"], ["left", "right"]])
def test_counterfactual_sets_what_it_names_and_spares_non_descendants(
    new_model, diamond, pictures, prior, names
):
    model, images = new_model(diamond, prior=prior), pictures(5)
    values = {n: torch.linspace(-4, 7, 5) + k for k, n in enumerate(names)}
    before, after = model.factors(images), model.counterfactual(images, values)
    for i, node in enumerate(diamond.nodes):
        if node in names:
            torch.testing.assert_close(after.factors[:, i], values[node])
        elif node in diamond.affected(names):
            assert (after.factors[:, i] != before[:, i]).all()
        else:
            assert torch.equal(after.factors[:, i], before[:, i])
    torch.testing.assert_close(after.images, model.decode(after.factors), rtol=1e-4, atol=1e-4)


def test_counterfactual_keeps_the_noise_of_descendants(new_model, diamond, pictures):
    model, images = new_model(diamond).double(), pictures(5).double()
    found = model.counterfactual(images, {"left": 1.0, "right": -2.0}).factors
    noise = model.flow.inverse((found - model.mean) / model.std)[0]
    kept = [diamond.index(n) for n in ("middle", "end")]
    torch.testing.assert_close(noise[:, kept], model.encode(images).mean[:, kept])


def test_intervention_draws_downstream_noise_anew(new_model, diamond, pictures):
    model, images = new_model(diamond), pictures(5)
    kept = model.counterfactual(images, {"middle": 1.0}).factors
    fresh = model.intervention(images, {"middle": 1.0}, seed=0).factors
    for i, node in enumerate(diamond.nodes):
        assert torch.equal(fresh[:, i], kept[:, i]) == (node != "end"), node
    again = model.intervention(images, {"middle": 1.0}, seed=0).factors
    assert torch.equal(again, fresh)


def test_doing_nothing_is_the_reconstruction(new_model, diamond, pictures):
    model, images = new_model(diamond), pictures(4)
    nothing = model.counterfactual(images, {})
    assert torch.equal(nothing.factors, model.factors(images))
    assert torch.equal(nothing.images, model.reconstruct(images))


@pytest.mark.parametrize("k", [1, 3])
def test_several_posterior_draws(new_model, diamond, pictures, k):
    model, images = new_model(diamond, extra_dims=1), pictures(4)
    drawn = model.counterfactual(images, {"left": 1.0}, samples=k, seed=0)
    assert drawn.images.shape == (k, 4, *SHAPE) and drawn.factors.shape == (k, 4, 4)
    torch.testing.assert_close(drawn.factors[..., 1], torch.ones(k, 4))
    assert model.factors(images, samples=k, seed=0).shape == (k, 4, 4)
    again = model.counterfactual(images, {"left": 1.0}, samples=k, seed=0)
    assert torch.equal(again.images, drawn.images)
    if k > 1:
        assert not torch.equal(drawn.factors[0], drawn.factors[1])


def test_posterior_draws_have_the_posteriors_mean_and_spread(new_model, diamond, pictures):
    model, images = new_model(diamond), pictures(2)
    roots = [diamond.index(n) for n in diamond.roots]
    drawn = model.factors(images, samples=2000, seed=0)
    noise = torch.stack([model.flow.inverse((z - model.mean) / model.std)[0] for z in drawn])
    q = model.encode(images).base_dist
    off = (noise.mean(0) - q.mean) / q.stddev
    assert off[:, roots].abs().max() < 5 / math.sqrt(2000)
    ratio = noise.std(0) / q.stddev
    torch.testing.assert_close(ratio, torch.ones(2, 4), rtol=0, atol=5 / math.sqrt(4000))


@pytest.mark.parametrize("samples", [0, -1])
def test_no_posterior_draws_are_refused(new_model, diamond, pictures, samples):
    with pytest.raises(ValueError, match="samples"):
        new_model(diamond).factors(pictures(2), samples=samples)


# ------------------------------------------------------------------------------- samples


def test_samples_follow_the_seed_and_do(new_model, diamond):
    model = new_model(diamond, extra_dims=2)
    one, same = model.sample(5, seed=3), model.sample(5, seed=3)
    set_ = model.sample(5, do={"middle": 2.0}, seed=3)
    assert torch.equal(one.images, same.images) and one.images.shape == (5, *SHAPE)
    assert not torch.equal(model.sample(5, seed=4).factors, one.factors)
    for i, node in enumerate(diamond.nodes):
        assert torch.equal(set_.factors[:, i], one.factors[:, i]) == (node in diamond.roots)
    torch.testing.assert_close(set_.factors[:, 2], torch.full((5,), 2.0))


def test_a_label_prior_samples_around_its_labels(new_model, diamond):
    model = new_model(diamond, prior="label")
    labels = labels_for(model, 1).expand(4000, 4)
    drawn = (model.sample(4000, labels=labels, seed=0).factors - model.mean) / model.std
    given = model.label_prior((labels[:1] - model.mean) / model.std)
    off = (drawn.mean(0) - given.mean[0]) / given.stddev[0]
    assert off.abs().max() < 5 / math.sqrt(4000)
    ratio = drawn.std(0) / given.stddev[0]
    torch.testing.assert_close(ratio, torch.ones(4), rtol=0, atol=5 / math.sqrt(8000))


def test_a_label_prior_cannot_sample_without_labels(new_model, diamond):
    with pytest.raises(ValueError, match=r"labels=.*\(3, 4\)"):
        new_model(diamond, prior="label").sample(3)


# -------------------------------------------------------------- sizes, dtypes, extra dims


@pytest.mark.parametrize("side", [28, 30, 32, 64, 96])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_picture_size(new_model, diamond, pictures, side, channels):
    shape = (channels, side, side)
    model, images = new_model(diamond, shape), pictures(2, shape)
    assert torch.isfinite(model.loss(images, labels_for(model, 2))["total"])
    assert model.reconstruct(images).shape == images.shape
    assert model.sample(2, seed=0).images.shape == images.shape


@PRIORS
@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("extra_dims", [0, 2])
def test_small_batches(new_model, diamond, pictures, prior, rows, extra_dims):
    model = new_model(diamond, prior=prior, extra_dims=extra_dims)
    images, labels = pictures(rows), labels_for(model, rows)
    terms = model.loss(images, labels)
    terms["total"].backward()
    assert all(torch.isfinite(t) for t in terms.values())
    assert model.factors(images).shape == (rows, 4)
    assert model.reconstruct(images).shape == (rows, *SHAPE)
    found = model.counterfactual(images, {"left": 1.0}, samples=2, seed=0)
    assert found.images.shape == (2, rows, *SHAPE) and found.factors.shape == (2, rows, 4)
    assert model.intervention(images, {"left": 1.0}, seed=0).factors.shape == (rows, 4)
    sampled = model.sample(rows, seed=0, labels=labels)
    assert sampled.images.shape == (rows, *SHAPE)
    assert model.decode(labels).shape == (rows, *SHAPE)


@PRIORS
def test_double_precision(new_model, diamond, pictures, prior):
    model = new_model(diamond, prior=prior, extra_dims=1).double()
    images, labels = pictures(3), labels_for(model, 3)
    assert model.loss(images, labels)["total"].dtype == torch.float64
    found = model.counterfactual(images, {"left": 0.1})
    assert found.images.dtype == found.factors.dtype == torch.float64
    torch.testing.assert_close(found.factors[:, 1], torch.full((3,), 0.1).double())
    assert model.sample(2, labels=labels[:2], seed=0).images.dtype == torch.float64


def test_extra_dims_reach_the_picture_and_no_factor(new_model, diamond, pictures):
    model, images = new_model(diamond, extra_dims=2), pictures(3)
    assert model.encode(images).mean.shape == (3, 6)
    factors = model.factors(images)
    assert factors.shape == (3, 4)
    latents = (factors - model.mean) / model.std
    plain, other = (
        torch.sigmoid(model.draw(latents, torch.full((3, 2), x))) for x in (0.0, 1.0)
    )
    assert not torch.equal(plain, other)
    assert torch.equal(plain, model.decode(factors))


# ------------------------------------------------------------------------ binary factors


def test_a_binary_factor_is_a_probability(new_model, diamond, pictures):
    model = with_binary(new_model(diamond), "left")
    found = model.factors(pictures(20))[:, 1]
    assert (found > 0).all() and (found < 1).all()


def test_a_binary_logit_is_bounded_where_labels_stand(new_model, diamond, pictures):
    model = new_model(diamond)
    model.binary[1] = True
    assert model.binary_latents[:, 1].tolist() == [-answers.LOGIT, answers.LOGIT]
    with torch.no_grad():
        model.encoder.head[-1].bias[:2] = 50.0  # of the first two factors' proposals
    found, _ = model.latent_map(model.encode(pictures(3)).mean)
    torch.testing.assert_close(found[:, 1], torch.full((3,), answers.LOGIT))
    assert (found[:, 0] > 40).all()  # a continuous factor is not


def test_do_of_a_binary_cause_is_right_however_long_its_logit_was_trained():
    """Glow follows a switch; the control without a KL once drifted off (R² below 0)."""
    generator = seeded()
    switch = torch.rand(600, generator=generator).round()
    glow = 1 + 3 * switch + 0.3 * torch.randn(600, generator=generator)
    pictures = torch.zeros(600, 1, 16, 16)
    pictures[:, :, :, :8] = 0.2 + 0.6 * switch.view(-1, 1, 1, 1)
    pictures[:, :, :, 8:] = (glow / 6).clamp(0, 1).view(-1, 1, 1, 1)
    graph = CausalGraph(["switch", "glow"], [("switch", "glow")])
    labels = torch.stack([switch, glow], 1)
    data = FactorDataset(pictures, labels, graph, kinds={"switch": "binary"})
    torch.manual_seed(0)
    model = CauFVAE(graph, (1, 16, 16), supervision=180.0, kl_weight=0.0)
    fit(model, data, epochs=12, lr=8e-3, device="cpu", progress=False, calibrate=False)
    truth = glow + 3 * (1 - 2 * switch)  # had the switch stood the other way
    found = model.counterfactual(data.images, {"switch": 1 - switch}).factors[:, 1]
    assert r2(truth, found) > 0.9


@pytest.mark.parametrize("value", [0, 1])
def test_a_binary_factor_is_set_to_the_mean_latent_of_its_label(
    new_model, diamond, pictures, value
):
    model = with_binary(new_model(diamond), "left")
    found = model.counterfactual(pictures(3), {"left": float(value)})
    latent = torch.tensor([-1.5, 2.5])[value]
    torch.testing.assert_close(found.factors[:, 1], torch.sigmoid(latent).expand(3))
    noise = model.encode(pictures(3)).mean
    with torch.no_grad():
        latents = model.flow.do(noise, {"left": latent.item()})
        expected = torch.sigmoid(model.decoder(latents))
    torch.testing.assert_close(found.images, expected)


@pytest.mark.parametrize("value", [2.0, -0.1])
def test_a_binary_factor_takes_nothing_but_zero_to_one(new_model, diamond, pictures, value):
    model = with_binary(new_model(diamond), "left")
    with pytest.raises(ValueError, match="'left' is binary"):
        model.counterfactual(pictures(3), {"left": value})


def test_binary_supervision_is_cross_entropy_and_has_no_likelihood(
    new_model, diamond, pictures
):
    model = with_binary(new_model(diamond, supervision=1.0), *diamond.nodes)
    labels = (labels_for(model, 6) > 0.5).float()
    p = model.factors(pictures(6))
    expected = -(labels * p.log() + (1 - labels) * (1 - p).log()).mean(0).sum()
    terms = model.loss(pictures(6), labels)
    torch.testing.assert_close(terms["supervision"], expected, rtol=1e-4, atol=1e-5)
    assert terms["label_likelihood"] == 0


def test_units_come_from_labelled_rows_and_kinds(new_model, diamond, pictures):
    model = new_model(diamond)
    factors = torch.randn(9, 4, generator=seeded()) * 3 + 1
    factors[:, 2] = torch.tensor([0, 1, 1, 0, 1, math.nan, 1, 0, 0])
    factors[4:, 0] = math.nan
    factors[:, 3] = 7.0
    model.adopt_units(FactorDataset(pictures(9), factors, diamond, kinds={"middle": "binary"}))
    assert model.binary.tolist() == [False, False, True, False]
    torch.testing.assert_close(model.mean[:2], factors.nanmean(0)[:2])
    torch.testing.assert_close(model.std[0], factors[:4, 0].std())
    assert (model.mean[2], model.std[2]) == (0, 1)
    assert model.std[3] == 1  # a constant column has no scale of its own


def test_binary_latents_are_the_mean_latents_of_each_label(new_model, diamond, pictures):
    model = with_binary(new_model(diamond), "left")
    factors = torch.zeros(6, 4)
    factors[:, 1] = torch.tensor([0, 1, 1, 0, math.nan, 1])
    model.conclude(FactorDataset(pictures(6), factors, diamond))
    stored = (pictures(6) * 255).round() / 255
    latents = torch.logit(model.factors(stored)[:, 1])
    expected = torch.stack([latents[[0, 3]].mean(), latents[[1, 2, 5]].mean()])
    torch.testing.assert_close(model.binary_latents[:, 1], expected, rtol=1e-3, atol=1e-4)


# --------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("ask", ["factors", "reconstruct", "encode"])
@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (torch.zeros(3, 16, 16), ValueError, r"\(n, 3, 16, 16\).*batch axis"),
        (torch.zeros(2, 1, 16, 16), ValueError, r"\(2, 1, 16, 16\)"),
        (torch.zeros(2, 3, 20, 16), ValueError, r"\(n, 3, 16, 16\)"),
        (torch.full((2, *SHAPE), 2.0), ValueError, r"\[0, 1\]"),
        (torch.full((2, *SHAPE), -0.1), ValueError, r"\[0, 1\]"),
        (torch.full((2, *SHAPE), math.nan), ValueError, "NaN"),
        (torch.full((2, *SHAPE), math.inf), ValueError, r"\[0, 1\]"),
        (torch.zeros(2, *SHAPE, dtype=torch.int64), TypeError, "int64"),
    ],
)
def test_wrong_pictures_are_named(new_model, diamond, ask, images, error, message):
    with pytest.raises(error, match=message):
        getattr(new_model(diamond), ask)(images)


@pytest.mark.parametrize(
    ("do", "message"),
    [
        ({"zebra": 1.0}, "zebra"),
        ({"left": [1.0, 2.0]}, "left.*3 rows"),
        ({"left": math.nan}, "left.*NaN"),
        ({"left": math.inf}, "left.*infinite"),
    ],
)
def test_wrong_interventions_are_named(new_model, diamond, pictures, do, message):
    model = new_model(diamond)
    for ask in (model.counterfactual, model.intervention):
        with pytest.raises(ValueError, match=message):
            ask(pictures(3), do)
    with pytest.raises(ValueError, match=message):
        model.sample(3, do=do)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(3, 5), r"\(3, 4\).*\(3, 5\)"),
        (torch.zeros(2, 4), r"\(3, 4\).*\(2, 4\)"),
        (torch.full((3, 4), math.inf), "infinite"),
    ],
)
def test_wrong_labels_are_named(new_model, diamond, pictures, labels, message):
    with pytest.raises(ValueError, match=message):
        new_model(diamond).loss(pictures(3), labels)


def test_decode_needs_every_factor(new_model, diamond):
    with pytest.raises(ValueError, match="NaN"):
        new_model(diamond).decode(torch.tensor([[0.0, 0.0, math.nan, 0.0]]))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prior": "zebra"}, "zebra"),
        ({"supervision": -1.0}, "supervision"),
        ({"label_likelihood": math.nan}, "label_likelihood"),
        ({"extra_dims": -1}, "extra_dims"),
        ({"image_shape": (2, 64, 64)}, "channels"),
    ],
)
def test_impossible_models_are_refused(diamond, options, message):
    with pytest.raises(ValueError, match=message):
        CauFVAE(diamond, **options)


def test_a_data_set_of_other_factors_is_refused(new_model, diamond, small_data):
    with pytest.raises(ValueError, match="pendulum_angle"):
        new_model(diamond).adopt_units(small_data)


def test_a_continuous_child_of_a_binary_parent_learns_from_its_label(pictures):
    """p(height | sex, age) is a density given a 0/1 parent, here −log N by SciPy."""
    graph = CausalGraph(["sex", "age", "height"], [("sex", "height"), ("age", "height")])
    torch.manual_seed(0)
    model = with_binary(CauFVAE(graph, (3, 16, 16), supervision=0.0), "sex")
    labels = torch.tensor([[0.0, 0.3, -0.2], [1.0, -0.5, 0.7], [math.nan, 0.1, 0.4]])
    generator = torch.Generator().manual_seed(0)
    terms = model.loss(pictures(3), labels, generator)
    terms["label_likelihood"].backward()
    assert all(p.grad.abs().sum() > 0 for p in model.flow.mechanisms["height"].parameters())
    assert model.flow.mechanisms["sex"].shift.grad.abs() == 0  # a 0/1 label has no density

    with torch.no_grad():
        causes = torch.stack([torch.tensor([-1.5, 2.5]), labels[:2, 1]], 1)
        log_scale, shift = model.flow.mechanism("height", causes)
        height = norm.logpdf(labels[:2, 2], shift, log_scale.exp()).mean()
        log_scale, shift = model.flow.mechanism("age", torch.zeros(3, 0))
        age = norm.logpdf(labels[:, 1], shift, log_scale.exp()).mean()
    expected = -model.label_likelihood * (height + age)
    assert terms["label_likelihood"].item() == pytest.approx(expected, rel=1e-5)


def test_under_the_label_prior_a_binary_label_says_nothing_about_its_logit(new_model, diamond):
    """As in training: whatever the binary label, samples are drawn from N(0, 1) there."""
    model = with_binary(new_model(diamond, prior="label"), "left")
    labels = torch.randn(4, 4, generator=torch.Generator().manual_seed(0))
    drawn = []
    for value in (0.0, 1.0, math.nan):
        labels[:, diamond.index("left")] = value
        drawn.append(model.sample(4, seed=1, labels=labels).factors)
    assert torch.equal(drawn[0], drawn[1]) and torch.equal(drawn[0], drawn[2])
