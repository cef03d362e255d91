"""Causal graphs: named factors and who causes whom.

An immutable layer over `networkx.DiGraph` with the two conventions that the whole package
leans on: factors are always listed in the order of ``graph.nodes``, and ``adjacency[i, j]``
is True iff ``nodes[i] -> nodes[j]``.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from functools import cached_property
from itertools import combinations

import networkx as nx
import numpy as np


class CausalGraph:
    """A directed acyclic graph over named factors.

    Args:
        nodes: the factors' names, in the order of every ``(n, d)`` array of factors.
            The order need not be topological.
        edges: ``(cause, effect)`` pairs of names.

    Raises:
        ValueError: no node, a repeated or unknown node, a repeated edge, or a cycle
            (each is named).

    >>> graph = CausalGraph(["sun", "shadow"], [("sun", "shadow")])
    >>> graph.parents("shadow")
    ('sun',)
    >>> graph.adjacency.tolist()
    [[False, True], [False, False]]
    """

    def __init__(self, nodes: Sequence[str], edges: Iterable[tuple[str, str]] = ()):
        if isinstance(nodes, str):
            raise ValueError(
                f"nodes must be a sequence: for a single factor write [{nodes!r}]."
            )
        self.nodes: tuple[str, ...] = tuple(nodes)
        self.edges: tuple[tuple[str, str], ...] = tuple(_pair(edge) for edge in edges)
        if not self.nodes:
            raise ValueError("A causal graph needs at least one node.")
        for node in self.nodes:
            if not isinstance(node, str):
                raise ValueError(f"Node names must be strings, got {node!r}.")
        for kind, items in (("node", self.nodes), ("edge", self.edges)):
            repeated = [item for item, times in Counter(items).items() if times > 1]
            if repeated:
                raise ValueError(f"Repeated {kind} {repeated[0]!r}: name each once.")
        self._position = {node: i for i, node in enumerate(self.nodes)}
        for edge in self.edges:
            for node in edge:
                self._known(node, f" in edge {edge!r}")
        self.digraph = nx.DiGraph()
        self.digraph.add_nodes_from(self.nodes)
        self.digraph.add_edges_from(self.edges)
        if not nx.is_directed_acyclic_graph(self.digraph):
            cycle = [cause for cause, _ in nx.find_cycle(self.digraph)]
            path = " -> ".join([*cycle, cycle[0]])
            raise ValueError(f"The graph has a cycle: {path}. Remove one of these edges.")
        nx.freeze(self.digraph)

    @classmethod
    def from_adjacency(
        cls, adjacency: np.ndarray, nodes: Sequence[str] | None = None
    ) -> "CausalGraph":
        """The graph with ``adjacency[i, j]`` true (or 1) iff ``nodes[i] -> nodes[j]``.

        The nodes are called ``x0, x1, …`` when their names are left out.
        """
        matrix = np.asarray(adjacency)
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"adjacency must be square (d, d), got {matrix.shape}.")
        if not np.isin(matrix, (0, 1)).all():
            raise ValueError("adjacency must hold only booleans, or 0 and 1.")
        if nodes is None:
            nodes = [f"x{i}" for i in range(len(matrix))]
        if len(nodes) != len(matrix):
            raise ValueError(f"adjacency has {len(matrix)} nodes, but {len(nodes)} are named.")
        return cls(nodes, [(nodes[i], nodes[j]) for i, j in np.argwhere(matrix)])

    def __len__(self) -> int:
        return len(self.nodes)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, CausalGraph):
            return NotImplemented
        return self.nodes == other.nodes and set(self.edges) == set(other.edges)

    def __hash__(self) -> int:
        return hash((self.nodes, frozenset(self.edges)))

    def __repr__(self) -> str:
        return f"CausalGraph(nodes={list(self.nodes)}, edges={list(self.edges)})"

    def index(self, node: str) -> int:
        """The column of ``node`` in an ``(n, d)`` array of factors."""
        return self._position[self._known(node)]

    @cached_property
    def adjacency(self) -> np.ndarray:
        """``(d, d)`` booleans, True at ``[i, j]`` iff ``nodes[i] -> nodes[j]``."""
        matrix = nx.to_numpy_array(self.digraph, nodelist=self.nodes, dtype=bool)
        matrix.flags.writeable = False
        return matrix

    @cached_property
    def generations(self) -> tuple[tuple[str, ...], ...]:
        """Roots first; each next generation has all its parents in earlier ones."""
        return tuple(self._in_order(g) for g in nx.topological_generations(self.digraph))

    @property
    def roots(self) -> tuple[str, ...]:
        """The factors that no other factor causes."""
        return self.generations[0]

    def parents(self, node: str) -> tuple[str, ...]:
        """The direct causes of ``node``, in node order."""
        return self._in_order(self.digraph.predecessors(self._known(node)))

    def children(self, node: str) -> tuple[str, ...]:
        """The direct effects of ``node``, in node order."""
        return self._in_order(self.digraph.successors(self._known(node)))

    def ancestors(self, node: str) -> tuple[str, ...]:
        """Every direct or indirect cause of ``node``, itself excluded."""
        return self._in_order(nx.ancestors(self.digraph, self._known(node)))

    def descendants(self, node: str) -> tuple[str, ...]:
        """Every direct or indirect effect of ``node``, itself excluded."""
        return self._in_order(nx.descendants(self.digraph, self._known(node)))

    def affected(self, nodes: Collection[str]) -> tuple[str, ...]:
        """What an intervention on ``nodes`` may change: they and their descendants."""
        coded = [[node for node in self.nodes if class_of(node, n) is not None] for n in nodes]
        chosen = {node for n, own in zip(nodes, coded, strict=True) for node in own or [n]}
        return self._in_order(chosen.union(*map(self.descendants, chosen)))

    def order_only(self) -> "CausalGraph":
        """Every edge the topological order allows, ties broken by node position.

        What an autoregressive flow such as CAREFL (Khemakhem et al. 2021) knows: the
        order of the factors, and not which earlier factor really causes which.
        """
        position = self._position.__getitem__
        order = nx.lexicographical_topological_sort(self.digraph, position)
        return CausalGraph(self.nodes, combinations(order, 2))

    def without_edges(self) -> "CausalGraph":
        """The same factors, none causing another."""
        return CausalGraph(self.nodes)

    def _in_order(self, nodes: Iterable[str]) -> tuple[str, ...]:
        return tuple(sorted(nodes, key=self._position.__getitem__))

    def _known(self, node: str, where: str = "") -> str:
        if node not in self._position:
            raise ValueError(f"Unknown node {node!r}{where}; the graph has {list(self.nodes)}.")
        return node


def class_nodes(name: str, classes: int) -> tuple[str, ...]:
    """The binary nodes ``name=0``, ``name=1``, … of a categorical factor: one of them is 1."""
    return tuple(f"{name}={k}" for k in range(classes))


def class_of(node: str, name: str) -> int | None:
    """7 for the node ``digit=7`` if ``name`` is ``digit``; None for any other node."""
    of, _, label = node.rpartition("=")
    return int(label) if of == name and label.isdigit() else None


def _pair(edge: tuple[str, str]) -> tuple[str, str]:
    if isinstance(edge, str) or len(edge) != 2:
        raise ValueError(f"An edge is a (cause, effect) pair of names, got {edge!r}.")
    return (edge[0], edge[1])
