"""What several test files share: random graphs, random flows, tiny worlds and models."""

import networkx as nx
import pytest
import torch
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

import notebooks
from caufvae_lite import CauFVAE, CausalFlow, CausalGraph, Pendulum

settings.register_profile(
    "suite",
    derandomize=True,
    deadline=None,
    max_examples=25,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("suite")


@st.composite
def _graphs(draw):
    """1–12 nodes in any order, from no edge to the complete graph."""
    d = draw(st.integers(1, 12))
    names = [f"f{i}" for i in range(d)]
    order = draw(st.permutations(names))
    pairs = [(a, b) for i, a in enumerate(order) for b in order[i + 1 :]]
    everything = 2 ** len(pairs) - 1
    mask = draw(st.one_of(st.just(0), st.just(everything), st.integers(0, everything)))
    return CausalGraph(names, [edge for k, edge in enumerate(pairs) if mask >> k & 1])


# Tests ask for random graphs with `st.from_type(CausalGraph)`.
st.register_type_strategy(CausalGraph, _graphs())


def _random_flow(graph, hidden=(6, 6), seed=0, dtype=torch.float64, log_scale=(-2.0, 1.0)):
    """A flow whose every parameter is random, so that nothing is zero by initialisation."""
    generator = torch.Generator().manual_seed(seed)
    flow = CausalFlow(graph, hidden=hidden, log_scale=log_scale).to(dtype)
    with torch.no_grad():
        for p in flow.parameters():
            size = len(p) ** -0.5 if p.ndim == 2 else 0.5
            p.copy_(size * torch.randn(p.shape, generator=generator))
    return flow


def _jacobian(function, x):
    """``(n, out, in)`` of a function that treats the rows of ``(n, in)`` apart."""
    x = x.detach().clone().requires_grad_()
    y = function(x)
    rows = [
        torch.autograd.grad(y[:, i].sum(), x, retain_graph=True, allow_unused=True)[0]
        for i in range(y.shape[1])
    ]
    return torch.stack([torch.zeros_like(x) if r is None else r for r in rows], 1)


def _node_by_node(flow, noise, do):
    """Noise → factors under ``do``, one factor after another: the textbook's loop."""
    values = {}
    for node in nx.topological_sort(nx.DiGraph(flow.graph.digraph)):
        i = flow.graph.nodes.index(node)
        parents = [values[p] for p in flow.graph.parents(node)]
        inputs = torch.stack(parents, -1) if parents else noise.new_zeros(len(noise), 0)
        log_scale, shift = flow.mechanism(node, inputs)
        values[node] = noise[:, i] * torch.exp(log_scale) + shift
        if node in do:
            values[node] = torch.as_tensor(do[node], dtype=noise.dtype).expand(len(noise))
    return torch.stack([values[n] for n in flow.graph.nodes], -1)


@pytest.fixture(scope="session")
def random_flow():
    return _random_flow


@pytest.fixture(scope="session")
def jacobian():
    return _jacobian


@pytest.fixture(scope="session")
def node_by_node():
    return _node_by_node


@pytest.fixture(scope="session")
def noise():
    """``noise(n, d, seed=0)``: standard normal draws in float64."""

    def draw(n, d, seed=0, dtype=torch.float64):
        return torch.randn(n, d, generator=torch.Generator().manual_seed(seed)).to(dtype)

    return draw


@pytest.fixture(scope="session")
def diamond():
    """Two causes of one effect, which causes another; the order is not topological."""
    return CausalGraph(
        ["end", "left", "middle", "right"],
        [("left", "middle"), ("right", "middle"), ("middle", "end")],
    )


@pytest.fixture(scope="session")
def small_world():
    return Pendulum(image_size=16)


@pytest.fixture(scope="session")
def small_data(small_world):
    return small_world.sample(64, seed=0)


@pytest.fixture(scope="session")
def new_model():
    """``new_model(graph, shape, seed=0, **options)``: a CauF-VAE with random mechanisms
    and with units that are not 0 and 1."""

    def build(graph, shape=(3, 16, 16), seed=0, **options):
        torch.manual_seed(seed)
        model = CauFVAE(graph, shape, **options)
        with torch.no_grad():
            for p in model.mechanism_parameters():
                p.add_(0.3 * torch.randn_like(p))
            model.mean.copy_(torch.linspace(-3, 5, len(graph)))
            model.std.copy_(torch.linspace(0.5, 4, len(graph)))
        return model.eval()

    return build


@pytest.fixture(scope="session")
def pictures():
    """``pictures(n, shape, seed=0)``: random images in [0, 1]."""

    def draw(n, shape=(3, 16, 16), seed=0):
        return torch.rand(n, *shape, generator=torch.Generator().manual_seed(seed))

    return draw


@pytest.fixture(scope="session")
def tool():
    """``tools/notebooks.py``, which is no part of the package."""
    return notebooks
