"""The structure study: its cases, the methods beside ours, and its scores."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from caufvae_lite import CausalGraph, Pendulum
from caufvae_lite.discovery import rivals as established
from caufvae_lite.studies import structure


def collider(n=400):
    """a → c ← b, additive, and the order that allows a → b as well."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(n, 3, generator=generator)
    x[:, 2] = torch.sin(2 * x[:, 0]) + x[:, 1] ** 2 + 0.3 * x[:, 2]
    return x, CausalGraph(["a", "b", "c"], [("a", "b"), ("a", "c"), ("b", "c")])


@pytest.mark.parametrize("method", ["cam", "pc"])
def test_established_methods_keep_an_additive_edge_and_drop_an_idle_one(method):
    pytest.importorskip({"cam": "statsmodels", "pc": "causallearn"}[method])
    x, order = collider()
    if method == "pc":  # Fisher's z sees lines
        x[:, 2] = x[:, 0] - x[:, 1] + 0.3 * torch.randn(len(x))
    found = getattr(established, method)(x, order)
    assert set(found.edges) == {("a", "c"), ("b", "c")}


@pytest.mark.parametrize("method", ["cam", "pc", "dagma"])
def test_a_missing_library_is_named(monkeypatch, method):
    def absent(module):
        raise ImportError(module)

    monkeypatch.setattr(established, "import_module", absent)
    with pytest.raises(ImportError, match=r"caufvae-lite\[bench\]"):
        getattr(established, method)(*collider())


def test_dagma_joins_what_is_joined_and_the_order_turns_it(monkeypatch):
    pytest.importorskip("dagma")
    monkeypatch.setattr(established, "DAGMA_STEPS", (1000, 1500))
    e = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    x = torch.stack([e[:, 0], torch.tanh(2 * e[:, 0]) + 0.2 * e[:, 1], e[:, 2]], 1)
    order = CausalGraph(["a", "b", "c"]).order_only()
    torch.manual_seed(5)
    state = torch.random.get_rng_state()
    arrows = established.dagma(x, order, seed=0)
    assert torch.equal(state, torch.random.get_rng_state())
    assert torch.get_default_dtype() == torch.float32
    assert arrows.shape == (3, 3) and np.array_equal(arrows, established.dagma(x, order, 0))
    assert established.oriented(arrows, order).edges == (("a", "b"),)
    backwards = np.zeros((3, 3), bool)
    backwards[2, 0] = True
    assert established.oriented(backwards, order).edges == (("a", "c"),)


def test_a_graph_with_two_edges_too_many_is_scored_as_that(monkeypatch):
    keep_all = SimpleNamespace(graph=Pendulum(16).graph.order_only())
    monkeypatch.setattr(structure.discovery, "find_graph", lambda *_, **__: keep_all)
    scores = structure.compute((structure.GATES, "pendulum-noisy", 0))
    found = {score.measure: score.value for score in scores}
    assert found["shd"] == 2 and found["recall"] == 1
    assert found["precision"] == pytest.approx(4 / 6)


@pytest.mark.parametrize(
    "case",
    [
        *structure.LABEL_WORLDS,
        *structure.NORMAL_WORLDS,
        *structure.SCM_CASES,
        "pendulum 10 % labels",
    ],
)
def test_the_cases(case):
    factors, graph = structure.CASES[case](0)
    assert factors.shape[1] == len(graph) and torch.isfinite(factors).all()
    assert torch.equal(factors, structure.CASES[case](0)[0])


def test_an_unknown_order_is_judged_by_the_best_right_one(monkeypatch):
    nodes = ("a", "b", "c")
    x, _ = collider()
    graph = CausalGraph(nodes, [("a", "c"), ("b", "c")])
    likeliest = [("c", "a", "b"), ("a", "b", "c"), ("b", "a", "c")]
    scores = dict(zip(likeliest, (3.0, 2.5, 2.0), strict=True))
    monkeypatch.setattr(structure.discovery, "order_scores", lambda *_: scores)
    monkeypatch.setattr(structure, "find", lambda _, x, super_graph, seed: super_graph)
    found, extra = structure.any_order(x, graph, 0)
    assert extra == {"right order's rank": 2.0, "right order's gap in nats": 0.5}
    assert set(found.edges) == {("c", "a"), ("c", "b"), ("a", "b")}
