import networkx as nx
import pytest
import torch

from caufvae_lite.discovery.random_scm import FAMILIES, RandomSCM

each_family = pytest.mark.parametrize("family", FAMILIES)


@each_family
def test_the_same_seed_gives_the_same_model_and_the_same_rows(family):
    a, b, other = (RandomSCM(6, family, seed) for seed in (3, 3, 4))
    assert a.graph == b.graph and a.graph != other.graph
    assert torch.equal(a.sample(50, 1), b.sample(50, 1))
    assert not torch.equal(a.sample(50, 1), a.sample(50, 2))


@each_family
def test_every_factor_has_mean_0_and_variance_1(family):
    x = RandomSCM(8, family, 0).sample(20_000, 5)
    assert x.mean(0).abs().max() < 0.05
    assert (x.std(0) - 1).abs().max() < 0.05


@each_family
def test_a_law_reads_all_its_parents_and_its_noise(family):
    scm = RandomSCM(7, family, 2)
    found = {}
    for i, parents, law, _, _ in scm.laws:
        found[i] = parents
        inputs = torch.randn(50, len(parents) + 1, dtype=torch.float64, requires_grad=True)
        raw = law(inputs[:, 1:], inputs[:, 0])
        assert torch.autograd.grad(raw.sum(), inputs)[0].ne(0).any(0).all()
    assert [found[i] for i in range(7)] == [
        [scm.graph.index(p) for p in scm.graph.parents(node)] for node in scm.graph.nodes
    ]


def test_additive_means_no_mixed_derivative_and_constant_noise():
    def mixed(family):
        laws = (law for seed in range(50) for law in RandomSCM(5, family, seed).laws)
        _, parents, law, _, _ = next(entry for entry in laws if len(entry[1]) > 1)
        x = torch.randn(20, len(parents), dtype=torch.float64, requires_grad=True)
        nothing, one = torch.zeros(20).double(), torch.ones(20).double()
        first = torch.autograd.grad(law(x, nothing).sum(), x, create_graph=True)[0]
        cross = torch.autograd.grad(first[:, 0].sum(), x)[0][:, 1:]
        return cross.abs().max(), (law(x, one) - law(x, nothing)).std()

    cross, spread = mixed("additive")
    assert cross < 1e-9 and spread < 1e-9
    cross, spread = mixed("interacting")
    assert cross > 1e-3 and spread > 1e-3


def test_order_of_columns_is_not_the_causal_order_and_degree_is_kept():
    graphs = [RandomSCM(20, "interacting", seed).graph for seed in range(10)]
    forward = [graph.index(a) < graph.index(b) for graph in graphs for a, b in graph.edges]
    assert 0.35 < sum(forward) / len(forward) < 0.65
    assert 30 < len(forward) / 10 < 50  # 2 · 20 expected
    assert all(nx.is_directed_acyclic_graph(graph.digraph) for graph in graphs)


def test_one_factor_and_errors():
    assert RandomSCM(1, "additive", 0).sample(10, 0).shape == (10, 1)
    with pytest.raises(ValueError, match="family"):
        RandomSCM(3, "linear", 0)
    with pytest.raises(ValueError, match="d = 0"):
        RandomSCM(0, "additive", 0)
