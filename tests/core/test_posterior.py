"""The full covariance, and the labelled rows' own evidence: against torch and by hand."""

import math
from itertools import pairwise

import pytest
import torch
from torch.distributions import Independent, MultivariateNormal, Normal, kl_divergence

from caufvae_lite import CauFVAE, CausalGraph, load, save
from caufvae_lite.posterior import kl_from_standard_normal

FULL = {"covariance": "full"}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def labels_for(model, n, seed=0):
    return model.mean + model.std * torch.randn(n, len(model.graph), generator=seeded(seed))


# -------------------------------------------------------------------- the full covariance


@pytest.mark.parametrize("extra_dims", [0, 2])
def test_the_covariance_is_that_of_the_formula(new_model, diamond, pictures, extra_dims):
    """Σ = (I + S) diag(σ²) (I + S)ᵀ over the factors, and nothing covaries with the rest."""
    model, images = new_model(diamond, extra_dims=extra_dims, **FULL).double(), pictures(5)
    images, d = images.double(), len(diamond)
    q = model.encode(images)
    assert isinstance(q, MultivariateNormal) and q.event_shape == (d + extra_dims,)
    raw = model.encoder(images)[:, d + extra_dims :]
    std = torch.exp(-7 + 8 * torch.sigmoid(raw[:, : d + extra_dims]))
    below = iter(raw[:, d + extra_dims :].T)
    mixing = torch.eye(d + extra_dims).double().repeat(5, 1, 1)
    for i in range(d):
        for j in range(i):
            mixing[:, i, j] = next(below)
    assert next(below, None) is None
    expected = mixing @ torch.diag_embed(std.square()) @ mixing.transpose(1, 2)
    torch.testing.assert_close(q.covariance_matrix, expected)
    assert (mixing != torch.eye(d + extra_dims)).any()


@pytest.mark.parametrize("n", [1, 6])
def test_the_kl_is_torchs(n):
    generator = seeded(n)
    tril = torch.randn(n, 4, 4, generator=generator).tril(-1)
    tril = (tril + torch.diag_embed(torch.rand(n, 4, generator=generator) + 0.1)).double()
    mean = torch.randn(n, 4, generator=generator).double()
    q = MultivariateNormal(mean, scale_tril=tril)
    p = MultivariateNormal(torch.zeros(4).double(), torch.eye(4).double())
    torch.testing.assert_close(kl_from_standard_normal(q), kl_divergence(q, p))
    diagonal = Independent(Normal(q.mean, q.stddev), 1)
    standard = Independent(Normal(torch.zeros(4).double(), torch.ones(4).double()), 1)
    torch.testing.assert_close(
        kl_from_standard_normal(diagonal), kl_divergence(diagonal, standard)
    )


@pytest.mark.parametrize("prior", ["scm", "label"])
def test_no_picture_at_all_is_fine(new_model, diamond, pictures, prior):
    model = new_model(diamond, prior=prior, extra_dims=1, label_reconstruction=1.0, **FULL)
    terms = model.loss(pictures(0), labels_for(model, 0))
    terms["total"].backward()
    assert all(term == 0 for term in terms.values())
    assert model.factors(pictures(0), samples=2, seed=0).shape == (2, 0, 4)


def test_the_loss_has_that_kl_and_that_noise(new_model, diamond, pictures):
    model, images = new_model(diamond, extra_dims=1, **FULL).double(), pictures(4).double()
    q = model.encode(images)
    draws = torch.randn(4, 5, generator=seeded()).double()
    noise = q.mean + torch.einsum("nij,nj->ni", q.scale_tril, draws)
    rows = model.row_terms(images, torch.full((4, 4), math.nan), draws)
    standard = MultivariateNormal(torch.zeros(5).double(), torch.eye(5).double())
    torch.testing.assert_close(rows["kl"], kl_divergence(q, standard))
    p = torch.sigmoid(model.draw(model.flow(noise[:, :4])[0], noise[:, 4:]))
    expected = -(images * p.log() + (1 - images) * (1 - p).log()).flatten(1).sum(1)
    torch.testing.assert_close(rows["reconstruction"], expected)


def test_posterior_draws_have_its_covariance(new_model, diamond, pictures):
    model, images = new_model(diamond, **FULL).double(), pictures(2).double()
    with torch.no_grad():
        for parameter in model.encoder.head[-1].parameters():
            parameter[-6:] += 1  # so that the noises covary strongly
    drawn = model.factors(images, samples=4000, seed=0)
    noise = torch.stack([model.flow.inverse((z - model.mean) / model.std)[0] for z in drawn])
    q = model.encode(images)
    for i in range(2):
        white = torch.linalg.solve_triangular(
            q.scale_tril[i], (noise[:, i] - q.mean[i]).T, upper=False
        )
        off = torch.cov(white) - torch.eye(4)
        assert off.abs().max() < 5 * math.sqrt(2 / 4000)
        assert white.mean(1).abs().max() < 5 / math.sqrt(4000)


def test_the_label_priors_kl_weighs_the_full_density(new_model, diamond, pictures, jacobian):
    model = new_model(diamond, prior="label", **FULL).double()
    images, labels = pictures(5).double(), labels_for(model, 5)
    draws = torch.randn(5, 4, generator=seeded()).double()
    found = model.row_terms(images, labels, draws)["kl"]
    with torch.no_grad():
        q = model.encode(images)
        noise = q.mean + torch.einsum("nij,nj->ni", q.scale_tril, draws)
        factors = model.flow(noise)[0]
        given = model.label_prior((labels - model.mean) / model.std)
    log_det = torch.linalg.slogdet(jacobian(lambda e: model.flow(e)[0], noise))[1]
    expected = q.log_prob(noise) - log_det - given.log_prob(factors).sum(-1)
    torch.testing.assert_close(found, expected)


def test_one_factor_has_nothing_to_covary_with(new_model, pictures):
    graph, images = CausalGraph(["alone"], []), pictures(3)
    full, diagonal = (new_model(graph, covariance=kind) for kind in ("full", "diagonal"))
    q, p = full.encode(images), diagonal.encode(images)
    torch.testing.assert_close(q.mean, p.mean)
    torch.testing.assert_close(q.stddev, p.stddev)


def test_a_long_chain_has_a_full_covariance_too(new_model, pictures):
    names = [f"f{i}" for i in range(40)]
    model = new_model(CausalGraph(names, list(pairwise(names))), **FULL)
    terms = model.loss(pictures(2), torch.zeros(2, 40))
    terms["total"].backward()
    assert torch.isfinite(terms["total"])
    assert model.counterfactual(pictures(2), {"f0": 1.0}).factors.shape == (2, 40)


def test_an_unknown_covariance_is_refused(diamond):
    with pytest.raises(ValueError, match=r"covariance must be one of.*'banded'"):
        CauFVAE(diamond, (3, 16, 16), covariance="banded")


def test_it_is_saved_and_loaded(new_model, diamond, pictures, tmp_path):
    model = new_model(diamond, label_reconstruction=0.5, **FULL)
    save(model, tmp_path / "full.safetensors")
    again = load(tmp_path / "full.safetensors")
    assert again.config() == model.config()
    one, other = (m.encode(pictures(3)).covariance_matrix for m in (model, again))
    assert torch.equal(one, other)


# ---------------------------------------------------------------- the label reconstruction


def test_a_labelled_picture_is_drawn_from_its_labels(new_model, diamond, pictures):
    plain, model = (new_model(diamond, label_reconstruction=w).double() for w in (0.0, 3.0))
    images, labels = pictures(6).double(), labels_for(model, 6).double()
    labels[1, 2], labels[4] = math.nan, math.nan
    whole = torch.tensor([0, 2, 3, 5])
    p = model.decode(labels[whole])
    surprise = -(images[whole] * p.log() + (1 - images[whole]) * (1 - p).log()).sum()
    added = (
        model.loss(images, labels, seeded())["reconstruction"]
        - plain.loss(images, labels, seeded())["reconstruction"]
    )
    torch.testing.assert_close(added, 3 * surprise / 4)


def test_without_labels_it_adds_nothing(new_model, diamond, pictures):
    plain, model = (new_model(diamond, label_reconstruction=w) for w in (0.0, 3.0))
    for rows in (0, 5):
        labels = torch.full((rows, 4), math.nan)
        one, other = (m.loss(pictures(rows), labels, seeded()) for m in (plain, model))
        assert one.keys() == other.keys()
        assert all(torch.equal(one[term], other[term]) for term in one)


def test_a_binary_label_is_drawn_as_the_logit_that_stands_for_it(new_model, diamond, pictures):
    model = new_model(diamond, label_reconstruction=1.0)
    model.binary[0], model.mean[0], model.std[0] = True, 0.0, 1.0
    model.binary_latents[:, 0] = torch.tensor([-1.5, 2.5])
    labels = labels_for(model, 4)
    labels[:, 0] = torch.tensor([0.0, 1.0, 1.0, 0.0])
    rows = model.row_terms(pictures(4), labels, torch.zeros(4, 4))
    p = model.decode(labels)
    expected = torch.nn.functional.binary_cross_entropy(p, pictures(4), reduction="none")
    torch.testing.assert_close(rows["label_reconstruction"], expected.flatten(1).sum(1))


@pytest.mark.parametrize("weight", [-1.0, math.inf, math.nan])
def test_an_impossible_weight_is_refused(diamond, weight):
    with pytest.raises(ValueError, match="label_reconstruction must be finite and 0 or more"):
        CauFVAE(diamond, (3, 16, 16), label_reconstruction=weight)
