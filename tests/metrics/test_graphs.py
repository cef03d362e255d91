import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_fscore_support

from caufvae_lite import CausalGraph
from caufvae_lite.metrics.graphs import edge_scores, shd

CHAIN = CausalGraph([*"abc"], [("a", "b"), ("b", "c")])


def chain_but(*edges):
    return CausalGraph([*"abc"], edges)


@pytest.mark.parametrize(
    ("found", "distance", "precision", "recall", "f1"),
    [
        (CHAIN, 0, 1, 1, 1),
        (chain_but(("a", "b")), 1, 1, 1 / 2, 2 / 3),  # one missing
        (chain_but(("a", "b"), ("b", "c"), ("a", "c")), 1, 2 / 3, 1, 4 / 5),  # one extra
        (chain_but(("b", "a"), ("b", "c")), 1, 1 / 2, 1 / 2, 1 / 2),  # reversed: once
        (chain_but(("b", "a"), ("c", "b")), 2, 0, 0, 0),
        (chain_but(("b", "a"), ("a", "c")), 3, 0, 0, 0),  # reversed, missing and extra
        (chain_but(), 2, math.nan, 0, 0),
    ],
)
def test_by_hand(found, distance, precision, recall, f1):
    expected = {"precision": precision, "recall": recall, "f1": f1}
    for true, other in ((CHAIN, found), (CHAIN.adjacency, found.adjacency)):
        assert shd(true, other) == shd(other, true) == distance
        assert edge_scores(true, other) == pytest.approx(expected, nan_ok=True)


def test_zero_by_zero_is_neither_good_nor_bad():
    empty = chain_but()
    assert shd(empty, empty) == 0
    assert all(map(math.isnan, edge_scores(empty, empty).values()))
    found = edge_scores(empty, CHAIN)
    assert found["precision"] == found["f1"] == 0 and math.isnan(found["recall"])


@st.composite
def two_dags(draw):
    names = [f"f{i}" for i in range(draw(st.integers(2, 5)))]

    def dag():
        order = draw(st.permutations(names))
        edges = [pair for pair in itertools.combinations(order, 2) if draw(st.booleans())]
        return CausalGraph(draw(st.permutations(names)), edges)

    return dag(), dag()


@given(graphs=two_dags())
def test_a_count_over_pairs_of_names(graphs):
    true, found = graphs
    missing = extra = turned = 0
    for a, b in itertools.combinations(true.nodes, 2):
        was = {(a, b), (b, a)} & set(true.edges)
        now = {(a, b), (b, a)} & set(found.edges)
        missing += bool(was and not now)
        extra += bool(now and not was)
        turned += bool(was and now and was != now)
    assert shd(true, found) == missing + extra + turned == shd(found, true)


@given(graphs=two_dags())
def test_edge_scores_are_scikit_learns(graphs):
    pairs = list(itertools.permutations(graphs[0].nodes, 2))
    labels = [[pair in graph.edges for pair in pairs] for graph in graphs]
    expected = precision_recall_fscore_support(*labels, average="binary", zero_division=np.nan)
    found = list(edge_scores(*graphs).values())
    np.testing.assert_allclose(found, expected[:3], equal_nan=True)


def test_graphs_are_compared_by_name_and_matrices_by_position():
    shuffled = CausalGraph([*"cab"], CHAIN.edges)
    assert shd(CHAIN, shuffled) == 0
    assert edge_scores(CHAIN, shuffled)["f1"] == 1
    assert shd(CHAIN.adjacency, shuffled.adjacency) > 0
    assert shd(CHAIN, shuffled.adjacency) == shd(CHAIN.adjacency, shuffled.adjacency)


def test_both_directions_are_one_undirected_edge():
    both = np.array([[0, 1, 0], [1, 0, 1], [0, 0, 0]])
    assert shd(CHAIN, both) == 1
    assert edge_scores(CHAIN, both)["precision"] == pytest.approx(2 / 3)


def test_matrices_may_be_lists_numbers_or_torch():
    turned = CHAIN.adjacency.T
    for found in (turned.tolist(), turned.astype(float), torch.as_tensor(turned.copy())):
        assert shd(CHAIN, found) == 2
        assert type(shd(CHAIN, found)) is int
        assert edge_scores(CHAIN, found) == {"precision": 0, "recall": 0, "f1": 0}


@pytest.mark.parametrize("score", [shd, edge_scores])
def test_what_is_no_graph_or_not_the_same_nodes(score):
    square = CHAIN.adjacency
    for wrong, message in (
        (square[:2], r"square .*\(2, 3\)"),
        (square[0], r"square .*\(3,\)"),
        (square | np.eye(3, dtype=bool), "itself"),
        (square * 0.5, "0 and 1"),
        (square[:2, :2], "2"),
        (CausalGraph([*"ab"]), "2"),
        (CausalGraph([*"abd"]), "Different nodes"),
    ):
        for pair in ((CHAIN, wrong), (wrong, CHAIN)):
            with pytest.raises(ValueError, match=message):
                score(*pair)
