"""Established ways to a graph: CAM's pruning, PC, and DAGMA.

CAM (Bühlmann, Peters, Ernest 2014) needs ``statsmodels``, PC (Spirtes, Glymour 1991)
``causal-learn``, and DAGMA (Bello, Aragam, Ravikumar 2022) ``dagma``; all come with the extra
``bench``.
"""

import io
from contextlib import redirect_stderr
from importlib import import_module
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from caufvae_lite.discovery.held_out import standardised
from caufvae_lite.graph import CausalGraph

CAM_LEVEL, CURVES = 1e-3, 10  # of the F test, and the degrees of freedom of each spline
PC_LEVEL = 0.01  # of Fisher's test
DAGMA_HIDDEN = 10  # units of each factor's network, as in its authors' example
DAGMA_STEPS = (5_000, 8_000)  # of each round but the last, and of that: a tenth of its defaults


def cam(factors: Tensor, super_graph: CausalGraph) -> CausalGraph:
    """CAM's pruning: an additive model on all predecessors, edges with p < `CAM_LEVEL` kept.

    Cubic regression splines of ``statsmodels``, knots at quantiles, and the exact F test
    of each curve (mgcv's penalised curves, which CAM used, have no such test in Python:
    pygam calls its own p-values too small).
    """
    splines = _optional("statsmodels.gam.api", "statsmodels").BSplines
    ols = _optional("statsmodels.api", "statsmodels").OLS
    x = _complete_rows(factors, super_graph)
    edges = []
    for name in super_graph.nodes:
        parents = super_graph.parents(name)
        if not parents:
            continue
        inputs = x[:, [super_graph.index(p) for p in parents]]
        basis = splines(inputs, df=[CURVES] * len(parents), degree=[3] * len(parents)).basis
        curve = np.repeat(np.arange(len(parents)), CURVES - 1)
        curve, basis = curve[basis.any(0)], basis[:, basis.any(0)]  # tied values: empty splines
        design = np.column_stack([np.ones(len(x)), basis])
        result = ols(x[:, super_graph.index(name)], design).fit()
        for j, parent in enumerate(parents):
            contrast = np.eye(design.shape[1])[1:][curve == j]
            if float(result.f_test(contrast).pvalue) < CAM_LEVEL:
                edges.append((parent, name))
    return CausalGraph(super_graph.nodes, edges)


def pc(factors: Tensor, super_graph: CausalGraph) -> CausalGraph:
    """PC's skeleton by Fisher's z (causal-learn), oriented by the order of ``super_graph``.

    The test is a linear one. Edges between pairs that the order forbids do not arise, since
    the order is complete; the search itself is not told it.
    """
    search = _optional("causallearn.search.ConstraintBased.PC", "causal-learn").pc
    x = _complete_rows(factors, super_graph)
    matrix = search(x, PC_LEVEL, "fisherz", show_progress=False).G.graph
    return oriented(matrix != 0, super_graph)


def dagma(factors: Tensor, super_graph: CausalGraph, seed: int = 0) -> np.ndarray:
    """The arrows of DAGMA's networks: a ``(d, d)`` boolean matrix, in node order.

    A continuous method, which finds an order of its own: of ``super_graph`` it reads the
    names only. `oriented` turns its arrows by a known order. Penalties and threshold are the
    library's.
    """
    nonlinear = _optional("dagma.nonlinear", "dagma")
    x = _complete_rows(factors, super_graph)
    (warm, last), usual = DAGMA_STEPS, torch.get_default_dtype()
    try:  # the library sets the default dtype of everything
        with torch.random.fork_rng(devices=[]), redirect_stderr(io.StringIO()):
            torch.manual_seed(seed)
            sizes = [len(super_graph), DAGMA_HIDDEN, 1]
            networks = nonlinear.DagmaMLP(dims=sizes, bias=True, dtype=torch.double)
            learner = nonlinear.DagmaNonlinear(networks, dtype=torch.double)
            weights = learner.fit(x, warm_iter=warm, max_iter=last)
    finally:
        torch.set_default_dtype(usual)
    return weights != 0


def oriented(arrows: np.ndarray, super_graph: CausalGraph) -> CausalGraph:
    """Pairs that are joined by ``arrows`` ``(d, d)``, as the order of ``super_graph`` says."""
    joined = arrows | arrows.T
    return CausalGraph.from_adjacency(super_graph.adjacency & joined, super_graph.nodes)


def _complete_rows(factors: Tensor, graph: CausalGraph) -> np.ndarray:
    x = standardised(factors, graph)
    return x[~torch.isnan(x).any(1)].double().numpy()


def _optional(module: str, package: str) -> ModuleType:
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"This comparison needs {package}, which the package itself does not: "
            'pip install "caufvae-lite[bench]".'
        ) from error
