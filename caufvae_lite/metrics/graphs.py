"""How far is a graph that was found from the true one?

Graphs are ``CausalGraph`` or ``(d, d)`` matrices of booleans or 0/1 with ``[i, j]`` true
iff i → j. Two ``CausalGraph`` are compared by name, whatever their order; otherwise nodes are
compared by position. A found matrix may have cycles: i → j and j → i together count as one
undirected edge in ``shd``, and as two directed ones in ``edge_scores``. Both raise a
`ValueError` if a matrix is none, or if sizes or names of the nodes differ.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from caufvae_lite.graph import CausalGraph

Graph = CausalGraph | ArrayLike


def shd(true: Graph, found: Graph) -> int:
    """Structural Hamming distance: missing + extra + reversed edges; 0 is best.

    It is the number of edges to add, remove or orient anew, so a reversed edge counts once,
    as in Tsamardinos, Brown and Aliferis (2006). Others count it twice, as missing and extra.
    That paper compares equivalence classes; here every direction counts.

    >>> shd([[0, 1], [0, 0]], [[0, 0], [1, 0]])
    1
    """
    t, f = _adjacencies(true, found)
    wrong = t != f
    return int(np.triu(wrong | wrong.T).sum())


def edge_scores(true: Graph, found: Graph) -> dict[str, float]:
    """Precision, recall and F1 of the directed edges; a reversed edge is wrong.

    Precision is NaN if no edge was found, and recall is NaN if there is none to find, since
    0/0 is neither good nor bad. F1 = 2 · right / (true + found) is then 0, and NaN only if
    both graphs are empty.
    """
    t, f = _adjacencies(true, found)
    right = (t & f).sum()
    with np.errstate(invalid="ignore"):
        scores = np.array([right, right, 2 * right]) / [f.sum(), t.sum(), t.sum() + f.sum()]
    return dict(zip(("precision", "recall", "f1"), scores.tolist(), strict=True))


def _adjacencies(true: Graph, found: Graph) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    t, f = _adjacency(true), _adjacency(found)
    if t.shape != f.shape:
        raise ValueError(f"The graphs have {len(t)} and {len(f)} nodes.")
    if isinstance(true, CausalGraph) and isinstance(found, CausalGraph):
        if set(true.nodes) != set(found.nodes):
            raise ValueError(f"Different nodes: {true.nodes} and {found.nodes}.")
        order = [found.index(node) for node in true.nodes]
        f = f[np.ix_(order, order)]
    return t, f


def _adjacency(graph: Graph) -> NDArray[np.bool_]:
    matrix = np.asarray(graph.adjacency if isinstance(graph, CausalGraph) else graph)
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"An adjacency matrix must be square (d, d), got {matrix.shape}.")
    if not np.isin(matrix, (0, 1)).all():
        raise ValueError("An adjacency matrix must hold only booleans, or 0 and 1.")
    if matrix.diagonal().any():
        raise ValueError("An adjacency matrix must not have an edge from a node to itself.")
    return matrix.astype(bool)
