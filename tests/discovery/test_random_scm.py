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
def test_do_moves_descendants_and_nothing_else(family):
    for seed in range(5):
        scm = RandomSCM(7, family, seed)
        before = scm.sample(200, 1)
        for node in scm.graph.nodes:
            moved = (scm.sample(200, 1, {node: 1.7}) != before).any(0)
            reach = set(scm.graph.affected([node]))
            assert [bool(m) for m in moved] == [n in reach for n in scm.graph.nodes]


@each_family
def test_counterfactual_holds_the_noise(family):
    scm = RandomSCM(7, family, 1)
    before, node = scm.sample(100, 1), scm.graph.roots[0]
    expected = scm.sample(100, 1, {node: -0.4})
    torch.testing.assert_close(
        scm.counterfactual(before, {node: -0.4}), expected, atol=1e-4, rtol=1e-4
    )
    same = scm.counterfactual(before, {node: before[:, scm.graph.index(node)]})
    torch.testing.assert_close(same, before, atol=1e-4, rtol=1e-4)


@each_family
def test_a_mechanism_reads_all_its_parents_and_only_them(family):
    scm = RandomSCM(7, family, 2)
    noise = torch.randn(50, 7, dtype=torch.float64)
    for i, node in enumerate(scm.graph.nodes):
        values = torch.randn(50, 7, dtype=torch.float64, requires_grad=True)
        raw = scm._raw(i, values, noise[:, i])
        if not scm.graph.parents(node):
            assert not raw.requires_grad
            continue
        reads = torch.autograd.grad(raw.sum(), values)[0].ne(0).any(0)
        assert reads.tolist() == scm.graph.adjacency[:, i].tolist()


def test_additive_means_no_mixed_derivative_and_constant_noise():
    def mixed(family):
        for seed in range(50):
            scm = RandomSCM(5, family, seed)
            node = next((n for n in scm.graph.nodes if len(scm.graph.parents(n)) > 1), None)
            if node is not None:
                break
        i, p = scm.graph.index(node), len(scm.graph.parents(node))
        x = torch.randn(20, p, dtype=torch.float64, requires_grad=True)
        first = torch.autograd.grad(scm._location[i](x).sum(), x, create_graph=True)[0]
        cross = torch.autograd.grad(first[:, 0].sum(), x)[0][:, 1:]
        return cross.abs().max(), scm._scale[i](x).std()

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
    with pytest.raises(ValueError, match=r"\(n, 3\)"):
        RandomSCM(3, "additive", 0).counterfactual(torch.zeros(2, 2), {"x0": 1.0})
