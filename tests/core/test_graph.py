import networkx as nx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from caufvae_lite import CausalGraph

any_graph = st.from_type(CausalGraph)


def as_networkx(graph):
    reference = nx.DiGraph()
    reference.add_nodes_from(graph.nodes)
    reference.add_edges_from(graph.edges)
    return reference


def in_node_order(graph, names):
    names = set(names)
    return tuple(n for n in graph.nodes if n in names)


def kahn_lowest_position_first(graph):
    waiting = {n: {a for a, b in graph.edges if b == n} for n in graph.nodes}
    order = []
    while waiting:
        ready = next(n for n in graph.nodes if n in waiting and not waiting[n] - {*order})
        order.append(ready)
        del waiting[ready]
    return order


def test_adjacency_row_is_cause_and_column_is_effect():
    graph = CausalGraph(["b", "a"], [("a", "b")])
    assert graph.adjacency.tolist() == [[False, False], [True, False]]


def test_adjacency_cannot_be_written_to(diamond):
    with pytest.raises(ValueError):
        diamond.adjacency[0, 0] = True


@given(graph=any_graph)
def test_adjacency_holds_the_edges_and_nothing_else(graph):
    edges = set(graph.edges)
    for i, cause in enumerate(graph.nodes):
        for j, effect in enumerate(graph.nodes):
            assert graph.adjacency[i, j] == ((cause, effect) in edges)


@given(graph=any_graph)
def test_relatives_agree_with_networkx_and_exclude_the_node(graph):
    reference = as_networkx(graph)
    for node in graph.nodes:
        for found, expected in (
            (graph.parents(node), reference.predecessors(node)),
            (graph.children(node), reference.successors(node)),
            (graph.ancestors(node), nx.ancestors(reference, node)),
            (graph.descendants(node), nx.descendants(reference, node)),
        ):
            assert found == in_node_order(graph, expected)
            assert node not in found


@given(graph=any_graph)
def test_generation_is_the_longest_path_from_a_root(graph):
    depth = {}
    for node in kahn_lowest_position_first(graph):
        depth[node] = 1 + max((depth[a] for a, b in graph.edges if b == node), default=-1)
    expected = tuple(
        tuple(n for n in graph.nodes if depth[n] == k) for k in range(max(depth.values()) + 1)
    )
    assert graph.generations == expected
    assert graph.roots == expected[0]


@given(graph=any_graph, data=st.data())
def test_affected_is_the_set_and_its_descendants(graph, data):
    chosen = data.draw(st.sets(st.sampled_from(graph.nodes)))
    reference = as_networkx(graph)
    expected = chosen.union(*(nx.descendants(reference, n) for n in chosen))
    assert graph.affected(chosen) == in_node_order(graph, expected)


@given(graph=any_graph)
def test_order_only_is_complete_over_the_first_topological_order(graph):
    rank = {n: k for k, n in enumerate(kahn_lowest_position_first(graph))}
    complete = graph.order_only()
    assert complete.nodes == graph.nodes
    assert set(complete.edges) == {
        (a, b) for a in graph.nodes for b in graph.nodes if rank[a] < rank[b]
    }


@given(graph=any_graph)
def test_without_edges_keeps_the_nodes_alone(graph):
    bare = graph.without_edges()
    assert bare.nodes == graph.nodes
    assert bare.edges == ()


@given(graph=any_graph)
def test_from_adjacency_round_trip(graph):
    again = CausalGraph.from_adjacency(graph.adjacency, graph.nodes)
    assert again == graph
    assert hash(again) == hash(graph)
    assert CausalGraph.from_adjacency(graph.adjacency.astype(int), graph.nodes) == graph


def test_from_adjacency_names_the_nodes_itself():
    assert CausalGraph.from_adjacency(np.array([[0, 1], [0, 0]])).edges == (("x0", "x1"),)


def test_equality_ignores_the_order_of_edges_but_not_of_nodes():
    edges = [("a", "c"), ("b", "c")]
    graph = CausalGraph(["a", "b", "c"], edges)
    assert graph == CausalGraph(["a", "b", "c"], edges[::-1])
    assert graph != CausalGraph(["b", "a", "c"], edges)
    assert graph != CausalGraph(["a", "b", "c"], edges[:1])


def test_index_is_the_column(diamond):
    assert [diamond.index(n) for n in diamond.nodes] == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("nodes", "edges", "message"),
    [
        (["a", "b", "c"], [("a", "b"), ("b", "c"), ("c", "a")], "cycle"),
        (["a"], [("a", "a")], "a -> a"),
        (["a"], [("a", "zebra")], "zebra"),
        (["a", "twice", "twice"], [], "twice"),
        (["a", "b"], [("a", "b"), ("a", "b")], "Repeated edge.*'a', 'b'"),
        ([], [], "at least one node"),
        (["a", "b"], ["ab"], "pair"),
        ([1, 2], [], "strings"),
        ("sun", [], r"\['sun'\]"),
    ],
)
def test_wrong_graphs_are_refused(nodes, edges, message):
    with pytest.raises(ValueError, match=message):
        CausalGraph(nodes, edges)


def test_a_cycle_is_named_and_nodes_outside_it_are_not():
    edges = [("out", "a"), ("a", "b"), ("b", "c"), ("c", "a")]
    with pytest.raises(ValueError) as caught:
        CausalGraph(["out", "a", "b", "c"], edges)
    written = str(caught.value)
    assert any(
        cycle in written
        for cycle in ("a -> b -> c -> a", "b -> c -> a -> b", "c -> a -> b -> c")
    )
    assert "out" not in written.split("cycle:")[1].split(".")[0]


@pytest.mark.parametrize("ask", ["index", "parents", "children", "ancestors", "descendants"])
def test_unknown_nodes_are_named(diamond, ask):
    with pytest.raises(ValueError, match="zebra"):
        getattr(diamond, ask)("zebra")


@pytest.mark.parametrize(
    ("matrix", "names", "message"),
    [
        (np.zeros((2, 3)), None, "square"),
        (np.zeros(4), None, "square"),
        (np.full((2, 2), 0.5), None, "0 and 1"),
        (np.zeros((2, 2)), ["a"], "2 nodes"),
        (np.ones((2, 2)), None, "cycle"),
    ],
)
def test_wrong_adjacencies_are_refused(matrix, names, message):
    with pytest.raises(ValueError, match=message):
        CausalGraph.from_adjacency(matrix, names)
