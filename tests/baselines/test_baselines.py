"""What every baseline must do, and the one thing that makes each of them itself."""

import math

import numpy as np
import pytest
import torch
from torch.distributions import Normal

from caufvae_lite import CausalGraph, FactorDataset, FactorModel, load, save
from caufvae_lite.baselines import (
    ICMVAE,
    IVAE,
    VAE,
    BetaVAE,
    CareflVAE,
    CausalVAE,
    DearPriorVAE,
    DeepSCM,
    PublishedCauFVAE,
    TwoStages,
)
from caufvae_lite.baselines.dear import PiecewiseLinear

SHAPE = (3, 16, 16)
ALL = (VAE, BetaVAE, IVAE, CausalVAE, DearPriorVAE, ICMVAE, CareflVAE, TwoStages)
ALL += (PublishedCauFVAE, DeepSCM)
WITH_DENSITY = (CausalVAE, DearPriorVAE, ICMVAE, CareflVAE, TwoStages, PublishedCauFVAE)
WITH_DENSITY += (DeepSCM,)
every = pytest.mark.parametrize("kind", ALL, ids=lambda k: k.__name__)
with_density = pytest.mark.parametrize("kind", WITH_DENSITY, ids=lambda k: k.__name__)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def built(kind, graph, **options):
    """A model in double precision whose every mechanism is random, in odd units."""
    torch.manual_seed(0)
    model = kind(graph, SHAPE, **options).double()
    with torch.no_grad():
        for p in model.mechanism_parameters():
            p.add_(0.3 * torch.randn_like(p))
        model.mean.copy_(torch.linspace(-3, 5, len(graph)))
        model.std.copy_(torch.linspace(0.5, 4, len(graph)))
        if isinstance(model, VAE):
            model.order.copy_(torch.randperm(len(model.order)))
            model.slope.copy_(torch.tensor([-2.0, -0.8, 0.6, 1.1])[: len(graph)])
            model.intercept.copy_(torch.linspace(0.3, -1, len(graph)))
    return model.eval()


def labels_for(model, n):
    z = torch.randn(n, len(model.graph), generator=seeded(7), dtype=torch.float64)
    return model.mean + model.std * z


# ----------------------------------------------------------------- what all must do


@every
@pytest.mark.parametrize("extra_dims", [0, 2])
def test_latent_map_and_abduction_are_inverse(kind, diamond, noise, extra_dims):
    model = built(kind, diamond, extra_dims=extra_dims)
    eps = noise(50, 4)
    assert torch.allclose(model.abduct(model.latent_map(eps)[0]), eps, atol=1e-9)


@every
def test_log_det_is_autograds(kind, diamond, noise, jacobian):
    model = built(kind, diamond)
    eps = noise(9, 4)
    found = torch.linalg.slogdet(jacobian(lambda e: model.latent_map(e)[0], eps))[1]
    assert torch.allclose(model.latent_map(eps)[1], found, atol=1e-9)


@every
def test_doing_nothing_is_the_factual_scene(kind, diamond, noise, pictures):
    model = built(kind, diamond)
    eps = noise(9, 4)
    assert torch.allclose(model.latent_do(eps, {}), model.latent_map(eps)[0], atol=1e-9)
    scenes = pictures(5)
    same = model.counterfactual(scenes, {})
    assert torch.allclose(same.factors, model.factors(scenes), atol=1e-6)


@every
def test_do_sets_its_factor_and_spares_what_it_cannot_reach(kind, diamond, noise):
    model = built(kind, diamond)
    eps = noise(9, 4)
    before, after = model.latent_map(eps)[0], model.latent_do(eps, {"middle": 0.5})
    reach = model.graph.affected(["middle"])
    for i, name in enumerate(model.graph.nodes):
        if name == "middle":
            assert torch.allclose(after[:, i], torch.tensor(0.5, dtype=after.dtype))
        elif name in reach:
            assert (after[:, i] - before[:, i]).abs().max() > 1e-4
        else:
            assert torch.allclose(after[:, i], before[:, i], atol=1e-9)


@every
def test_setting_a_factor_to_what_it_is_changes_nothing(kind, diamond, noise):
    model = built(kind, diamond)
    eps = noise(9, 4)
    before = model.latent_map(eps)[0]
    own = {"left": before[:, 1], "middle": before[:, 2]}
    assert torch.allclose(model.latent_do(eps, own), before, atol=1e-8)


@every
@pytest.mark.parametrize("rows", [0, 1, 3])
def test_losses_are_finite_with_any_missing_label(kind, diamond, pictures, rows):
    model = built(kind, diamond, extra_dims=1).train()
    labels = labels_for(model, rows)
    labels[::2, 1] = torch.nan
    terms = model.loss(pictures(rows), labels, seeded())
    assert all(torch.isfinite(v) for v in terms.values())
    terms["total"].backward()
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert all(torch.isfinite(g).all() for g in gradients)


@every
def test_gradient_reaches_every_parameter(kind, diamond, pictures):
    options = {} if kind in (VAE, BetaVAE, IVAE) else {"label_likelihood": 5.0}
    model = built(kind, diamond, **options).train()
    model.loss(pictures(6), labels_for(model, 6), seeded())["total"].backward()
    idle = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # iVAE has no arrows: where nothing asks for ε itself, a shift of the flow is undone by
    # the abduction of the posterior's mean.
    undone = [f"flow.mechanisms.{i}.shift" for i in range(4)] if kind is IVAE else []
    assert sorted(set(idle) - set(undone)) == []


@every
def test_saved_and_loaded_it_answers_the_same(kind, diamond, pictures, tmp_path):
    model = built(kind, diamond, extra_dims=1)
    again = load(save(model, tmp_path / "m.safetensors", seed=0))
    assert isinstance(again, kind) and isinstance(again, FactorModel)
    assert again.config() == model.config()
    scenes, do = pictures(4), {"left": 0.7}
    ours, theirs = model.counterfactual(scenes, do), again.counterfactual(scenes, do)
    assert torch.equal(ours.images, theirs.images)
    assert torch.equal(ours.factors, theirs.factors)


@every
def test_one_factor_without_causes(kind, pictures):
    model = built(kind, CausalGraph(["alone"]))
    assert model.counterfactual(pictures(2), {"alone": 0.1}).factors.shape == (2, 1)
    assert torch.isfinite(model.loss(pictures(2), labels_for(model, 2), seeded())["total"])


@with_density
def test_label_likelihood_is_the_density_of_the_pushed_forward_noise(kind, diamond):
    model = built(kind, diamond, label_likelihood=5.0)
    labels = torch.randn(20, 4, generator=seeded(3), dtype=torch.float64)
    found = model.label_log_prob(labels)
    if kind is CausalVAE:  # its density is that of the mask networks
        eps, log_det = model.masks.inverse(labels)
    else:
        eps = model.abduct(labels)
        log_det = -model.latent_map(eps)[1]
    expected = Normal(0, 1).log_prob(eps).sum(-1) + log_det
    assert torch.allclose(found.sum(-1), expected, atol=1e-8)


@with_density
def test_label_likelihood_needs_a_factor_and_its_causes(kind, diamond):
    model = built(kind, diamond, label_likelihood=5.0)
    labels = torch.zeros(1, 4, dtype=torch.float64)
    labels[0, model.graph.index("left")] = torch.nan
    known = (model.label_log_prob(labels) != 0)[0]
    for i, name in enumerate(model.graph.nodes):
        needs = {name, *model.graph.parents(name)}
        assert known[i] == ("left" not in needs)


# -------------------------------------------------------------- VAE: matched afterwards


def labelled_scenes(graph, n=100, seed=0):
    torch.manual_seed(seed)
    images = (torch.rand(n, *SHAPE) * 255).to(torch.uint8)
    return FactorDataset(images, torch.randn(n, len(graph)), graph, dict.fromkeys(graph.nodes))


@pytest.mark.parametrize("extra_dims", [0, 2])
def test_vae_matches_each_factor_to_the_latent_that_carries_it(diamond, extra_dims):
    data = labelled_scenes(diamond)
    torch.manual_seed(1)
    model = VAE(diamond, SHAPE, extra_dims=extra_dims).eval()
    total = 4 + extra_dims
    codes = model.encoder(model.prepared(data.images))[:, :total].detach()
    codes = (codes - codes.mean(0)) / codes.std(0)
    chosen = torch.randperm(total, generator=seeded(2))[:4]
    slopes = torch.tensor([2.0, -3.0, 0.5, 4.0])
    noise = 0.05 * torch.randn(len(data), 4, generator=seeded(3))
    data = data.with_factors(slopes * codes[:, chosen] + noise + torch.arange(4.0))
    before = model.reconstruct(data.images)
    model.adopt_units(data)
    model.conclude(data)
    assert model.order[:4].tolist() == chosen.tolist()
    assert sorted(model.order.tolist()) == list(range(total))
    scores = 1 - (model.factors(data.images) - data.factors).var(0) / data.factors.var(0)
    assert (scores > 0.95).all()
    assert torch.allclose(model.reconstruct(data.images), before, atol=1e-5)  # names only


def test_vaes_do_moves_one_latent_of_the_networks(diamond, pictures):
    model = built(VAE, diamond, extra_dims=1)
    seen = []
    decoder = model.decoder.forward
    model.decoder.forward = lambda z: seen.append(z) or decoder(z)
    model.reconstruct(pictures(3))
    model.counterfactual(pictures(3), {"right": 1.0})
    moved = (seen[0] - seen[1]).abs().amax(0) > 1e-9
    expected = torch.zeros(5, dtype=torch.bool)
    expected[model.order[model.graph.index("right")]] = True
    assert torch.equal(moved, expected)


def test_vae_does_not_push_a_latent_beyond_its_prior(diamond, noise):
    model = built(VAE, diamond)
    after = model.latent_do(noise(5, 4), {"left": 1e6})
    assert model.abduct(after).abs().max() <= 4 + 1e-9


def test_vae_without_labels_keeps_the_networks_order(diamond):
    data = labelled_scenes(diamond)
    data = data.with_factors(torch.full_like(data.factors, torch.nan))
    model = VAE(diamond, SHAPE)
    model.conclude(data)
    assert model.order.tolist() == [0, 1, 2, 3] and (model.slope == 1).all()


def test_vae_never_uses_a_label_in_its_loss(diamond, pictures):
    model = built(VAE, diamond)
    labels = labels_for(model, 4)
    one = model.loss(pictures(4), labels, seeded())["total"]
    other = model.loss(pictures(4), labels * torch.nan, seeded())["total"]
    assert torch.equal(one, other)


def test_beta_weighs_the_whole_kl(diamond, pictures):
    plain = built(VAE, diamond, extra_dims=2)
    heavy = built(BetaVAE, diamond, beta=3.0, extra_dims=2)
    heavy.load_state_dict(plain.state_dict())
    labels = labels_for(plain, 4)
    ours = heavy.loss(pictures(4), labels, seeded())
    theirs = plain.loss(pictures(4), labels, seeded())
    assert ours["kl"].item() == pytest.approx(3 * theirs["kl"].item())
    assert torch.equal(ours["reconstruction"], theirs["reconstruction"])


# ----------------------------------------------------------- one property each, by hand


def test_ivaes_prior_reads_all_labels_and_factorises_given_them(diamond):
    model = built(IVAE, diamond)
    assert model.graph.edges == ()
    u = torch.zeros(1, 4, dtype=torch.float64, requires_grad=True)
    prior = model.label_prior(u)
    for i in range(4):
        (gradient,) = torch.autograd.grad(prior.mean[0, i], u, retain_graph=True)
        assert (gradient != 0).all()  # every label moves every factor's prior
    assert prior.stddev.shape == (1, 4)  # one spread a factor: a diagonal Gaussian


def test_causalvaes_layer_is_the_inverse_of_i_minus_a_transposed(diamond, noise):
    model = built(CausalVAE, diamond)
    a = (model.scm.weights * torch.tensor(diamond.adjacency)).detach().numpy()
    assert (a != 0).sum() == len(diamond.edges)
    eps = noise(6, 4)
    expected = np.linalg.inv(np.eye(4) - a.T) @ eps.numpy().T
    assert np.allclose(model.latent_map(eps)[0].detach().numpy().T, expected)


def test_causalvaes_masks_carry_interventions_and_keep_the_residual(diamond, noise):
    model = built(CausalVAE, diamond)
    eps = noise(6, 4)
    z, after = model.latent_map(eps)[0], model.latent_do(eps, {"left": 1.0})
    i, causes = diamond.index("middle"), [diamond.index(p) for p in diamond.parents("middle")]
    g_before = model.masks.mechanism("middle", z[:, causes])[1]
    g_after = model.masks.mechanism("middle", after[:, causes])[1]
    assert torch.allclose(after[:, i] - g_after, z[:, i] - g_before)


def test_causalvaes_own_losses(diamond, pictures):
    model = built(CausalVAE, diamond)
    scenes, labels = pictures(5), labels_for(model, 5)
    kl = {}
    for own in ({}, {"label_prior": 0.0}, {"linear": 0.0}, {"masks": 0.0}):
        model.own_weights = {"label_prior": 1.0, "linear": 1.0, "masks": 1.0, **own}
        kl[tuple(own)] = model.loss(scenes, labels, seeded())["kl"].item()
    u = ((labels - model.mean) / model.std).detach()
    a = model.scm.weights * torch.tensor(diamond.adjacency)
    expected = (u - u @ a).square().sum(-1).mean().item()  # ‖u − Aᵀu‖²
    assert kl[()] - kl[("linear",)] == pytest.approx(expected)
    assert kl[("masks",)] < kl[()]  # l_m is a sum of squares
    assert kl[("label_prior",)] != pytest.approx(kl[()])


def test_causalvaes_linear_loss_needs_all_labels_of_a_row(diamond, pictures):
    scenes, labels = pictures(4), labels_for(built(CausalVAE, diamond), 4)
    labels[1:, 0] = torch.nan
    kl = [
        built(CausalVAE, diamond, linear=weight).loss(scenes, labels, seeded())["kl"].item()
        for weight in (0.0, 4.0)
    ]
    model = built(CausalVAE, diamond)
    u = (labels[:1] - model.mean) / model.std
    expected = model.scm.inverse(u).square().sum().item()  # 4 · ‖·‖² of one row of four
    assert kl[1] - kl[0] == pytest.approx(expected)


def test_dears_warp_is_increasing_and_invertible_everywhere():
    warp = PiecewiseLinear(3).double()
    with torch.no_grad():
        warp.raw_slopes.add_(2 * torch.randn(3, 16, generator=seeded()))
        warp.start.add_(torch.tensor([0.5, -1.0, 2.0]))
    y = torch.linspace(-9, 9, 2001, dtype=torch.float64).unsqueeze(1).repeat(1, 3)
    z, log_slope = warp(y)
    assert (z.diff(dim=0) > 0).all()
    back, _ = warp.inverse(z)
    assert torch.allclose(back, y, atol=1e-9)
    slope = (z.diff(dim=0) / y.diff(dim=0))[500]
    assert torch.allclose(torch.log(slope), log_slope[500], atol=1e-6)
    fresh = PiecewiseLinear(2)
    x = torch.randn(5, 2)
    assert torch.allclose(fresh(x)[0], x, atol=1e-5)  # the identity at first


def test_dears_scm_is_linear_between_two_warps(diamond, noise):
    model = built(DearPriorVAE, diamond)
    eps = noise(7, 4)
    y = model.warp.inverse(model.latent_map(eps)[0])[0]
    a = (model.scm.weights * torch.tensor(diamond.adjacency)).detach()
    own = eps * torch.exp(model.log_scale) + model.shift
    assert torch.allclose(y, y @ a + own, atol=1e-9)


def test_icmvaes_scale_is_a_sigmoid_and_its_prior_flows_from_the_labels(diamond, noise):
    model = built(ICMVAE, diamond)
    _, log_scale = model.flow.node_noise(100 * noise(50, 4))
    assert log_scale.max() > 0.9 and log_scale.min() < 0.1
    assert (log_scale >= 0).all() and (log_scale <= 1).all()
    labels, z = noise(6, 4, seed=1), noise(6, 4, seed=2)
    prior = model.label_flow_prior(labels, z)
    for i, name in enumerate(diamond.nodes):
        causes = z[:, [diamond.index(p) for p in diamond.parents(name)]]
        s, t = model.label_flow.mechanism(name, causes)
        assert torch.allclose(prior.mean[:, i], torch.exp(s) * labels[:, i] + t)
    assert (prior.stddev == 1).all()


def test_icmvaes_weights_scale_its_two_kls(diamond, pictures):
    scenes = pictures(5)
    kl = []
    for alpha, beta in ((0, 0), (1, 0), (0, 1), (2, 3)):
        model = built(ICMVAE, diamond, noise_prior=alpha, label_flow=beta)
        kl.append(model.loss(scenes, labels_for(model, 5), seeded())["kl"].item())
    assert kl[0] == 0
    assert kl[3] == pytest.approx(2 * kl[1] + 3 * kl[2])


def test_carefl_has_every_edge_that_the_order_allows(diamond):
    model = built(CareflVAE, diamond)
    assert model.graph == diamond.order_only()
    assert len(model.graph.edges) == 6 and model.prior == "scm"


@pytest.mark.parametrize("beta", [-1.0, math.inf, math.nan])
def test_an_impossible_beta_is_refused(diamond, beta):
    with pytest.raises(ValueError, match="beta"):
        BetaVAE(diamond, SHAPE, beta=beta)


def test_in_two_stages_the_picture_teaches_the_decoder_and_nobody_else(diamond, pictures):
    model = built(TwoStages, diamond, kl_weight=0.0, extra_dims=1).train()
    scenes, labels = pictures(6), labels_for(model, 6)
    draws = torch.randn(6, 5, generator=seeded(), dtype=torch.float64)
    model.row_terms(scenes, labels, draws)["reconstruction"].sum().backward()
    taught = {name.split(".")[0] for name, p in model.named_parameters() if p.grad is not None}
    assert taught == {"decoder"}
    other = model.row_terms(scenes, labels, -draws)["reconstruction"]
    assert torch.equal(other, model.row_terms(scenes, labels, draws)["reconstruction"])


# ------------------------------------------------------------- the published formulation


def test_the_published_bound_has_two_kls(diamond, pictures):
    """log q − log p(ε) − log p(z | u), once more with log q, as torch computes them."""
    model, images = built(PublishedCauFVAE, diamond), pictures(3).double()
    labels, draws = labels_for(model, 3), torch.randn(3, 4, generator=seeded()).double()
    u = (labels - model.mean) / model.std
    q = model.training_posterior(images, u, draws)
    noise = q.mean + q.stddev * draws
    z, log_det = model.latent_map(noise)
    to_noise = torch.distributions.kl_divergence(q.base_dist, Normal(0.0, 1.0)).sum(-1)
    to_labels = q.log_prob(noise) - log_det - model.label_prior(u).log_prob(z).sum(-1)
    found = model.row_terms(images, labels, draws)["kl"]
    torch.testing.assert_close(found, to_noise + to_labels)


def test_the_published_encoder_reads_labels_in_training_only(diamond, pictures):
    model, images = built(PublishedCauFVAE, diamond), pictures(3).double()
    u, draws = torch.randn(2, 3, 4, generator=seeded()).double()
    told = model.training_posterior(images, u, draws).mean
    other = model.training_posterior(images, u + 1, draws).mean
    assert (told - other).abs().min() > 0
    untold = model.training_posterior(images, torch.full_like(u, math.nan), draws).mean
    assert torch.equal(untold, model.encode(images).mean)


@pytest.mark.parametrize("share", [-0.1, 1.5, math.nan])
def test_an_impossible_share_of_dropped_labels_is_refused(diamond, share):
    with pytest.raises(ValueError, match="label_dropout"):
        PublishedCauFVAE(diamond, SHAPE, label_dropout=share)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_labels_are_dropped_by_the_row(diamond, share):
    model = built(PublishedCauFVAE, diamond, label_dropout=share)
    n = 2000
    images = torch.full((n, *SHAPE), 0.5).double()
    u = torch.ones(n, 4).double()
    draws = torch.randn(n, 4, generator=seeded()).double()
    found = model.training_posterior(images, u, draws).mean
    hidden = (found == model.encode(images).mean).all(-1)
    assert abs(hidden.double().mean() - share) < 4 * math.sqrt(share * (1 - share) / n) + 1e-9
    told = ~hidden
    if 0 < share < 1:  # and the choice has nothing to do with the noise
        assert abs(draws[told, 0].mean()) < 4 / math.sqrt(n / 2)
        assert abs(draws[told, 0].var() - 1) < 4 * math.sqrt(2 / (n / 2))


def test_deepscms_pictures_teach_no_attribute_where_labels_are_known(diamond, pictures):
    model = built(DeepSCM, diamond).train()
    labels = labels_for(model, 6)
    draws = torch.randn(6, 8, generator=seeded()).double()
    model.row_terms(pictures(6), labels, draws)["reconstruction"].sum().backward()
    by_output = model.encoder.shortcut.weight.grad  # first those that read the attributes
    assert not by_output[:4].any() and by_output[4:8].any()
    assert not any(p.grad is not None and p.grad.any() for p in model.flow.parameters())


def test_deepscms_picture_is_given_the_labels_and_a_reading_where_they_are_missing(
    diamond, pictures
):
    model, scenes = built(DeepSCM, diamond), pictures(3)
    labels = model.factors(scenes).double()
    draws = torch.randn(3, 8, generator=seeded(1)).double()
    whole = model.row_terms(scenes, labels, draws)
    part = labels.clone()
    part[:, 1:3] = torch.nan
    missing = model.row_terms(scenes, part, draws)  # what was missing is what the model reads
    assert torch.allclose(whole["reconstruction"], missing["reconstruction"], atol=1e-5)
    other = model.row_terms(scenes, labels + 1, draws)
    assert not torch.allclose(whole["reconstruction"], other["reconstruction"], atol=1e-3)


def test_deepscms_kl_is_of_the_style_alone_which_reads_the_attributes(diamond, pictures):
    model, scenes = built(DeepSCM, diamond, style_dims=2, extra_dims=1), pictures(3)
    labels = model.factors(scenes).double()
    q = model.encode(scenes)
    style = Normal(q.mean[:, 4:], q.stddev[:, 4:])
    expected = torch.distributions.kl_divergence(style, Normal(0.0, 1.0)).sum(-1)
    found = model.row_terms(scenes, labels, torch.zeros(3, 7).double())["kl"]
    assert torch.allclose(found, expected, atol=1e-5)
    assert (q.stddev[:, :4] < 1e-3).all()  # attributes are read, not inferred
    moved = model.row_terms(scenes, labels + 1, torch.zeros(3, 7).double())["kl"]
    assert not torch.allclose(moved, found, atol=1e-3)


def test_deepscm_needs_a_style(diamond):
    with pytest.raises(ValueError, match="style_dims"):
        DeepSCM(diamond, SHAPE, style_dims=0)


def test_deepscm_is_given_a_binary_attribute_within_its_bounds(diamond, pictures):
    """A reading far out is drawn, and stands in for a missing label, as the bound itself."""
    model, scenes = built(DeepSCM, diamond), pictures(3)
    model.binary[1], model.mean[1], model.std[1] = True, 0.0, 1.0
    labels = labels_for(model, 3)
    labels[:, 1] = torch.nan
    draws = torch.randn(3, 8, generator=seeded(1)).double()
    found = []
    for logit in (60.0, 90.0):
        with torch.no_grad():
            model.encoder.head[-1].bias[1] = logit
        encoded = model.encode(scenes).mean
        found.append((model.row_terms(scenes, labels, draws)["reconstruction"], encoded))
    for first, second in zip(*found, strict=True):
        assert torch.allclose(first, second, atol=1e-6)
