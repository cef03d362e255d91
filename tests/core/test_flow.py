import itertools
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.distributions import MultivariateNormal, Normal

from caufvae_lite import CausalFlow, CausalGraph, mechanisms
from caufvae_lite import flow as flow_module

any_graph = st.from_type(CausalGraph)
seeds = st.integers(0, 1000)


def interventions(graph):
    """One to all factors, each set to one value for all rows, or to one a row."""
    value = st.floats(-3, 3)
    return st.dictionaries(
        st.sampled_from(graph.nodes),
        st.one_of(value, st.lists(value, min_size=5, max_size=5)),
        min_size=1,
    )


def chain(length):
    names = [f"c{i}" for i in range(length)]
    return CausalGraph(names, list(itertools.pairwise(names)))


# ------------------------------------------------------------------- the two directions


@given(graph=any_graph, seed=seeds)
def test_noise_survives_the_round_trip(random_flow, noise, graph, seed):
    flow, eps = random_flow(graph, seed=seed), noise(5, len(graph), seed)
    factors, log_det = flow(eps)
    again, log_det_back = flow.inverse(factors)
    torch.testing.assert_close(again, eps, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(log_det_back, -log_det, rtol=1e-8, atol=1e-8)


@given(graph=any_graph, seed=seeds)
def test_log_det_is_that_of_the_jacobian_both_ways(random_flow, noise, jacobian, graph, seed):
    flow, x = random_flow(graph, seed=seed), noise(4, len(graph), seed)
    for direction in (flow.forward, flow.inverse):
        expected = torch.linalg.slogdet(jacobian(lambda v, f=direction: f(v)[0], x))[1]
        torch.testing.assert_close(direction(x)[1], expected, rtol=1e-8, atol=1e-8)


@given(graph=any_graph, seed=seeds)
def test_noise_depends_on_its_factor_and_its_parents_only(
    random_flow, noise, jacobian, graph, seed
):
    flow, z = random_flow(graph, seed=seed), noise(3, len(graph), seed)
    found = jacobian(lambda v: flow.inverse(v)[0], z) != 0
    for i, node in enumerate(graph.nodes):
        allowed = {node, *graph.parents(node)}
        expected = torch.tensor([n in allowed for n in graph.nodes])
        assert torch.equal(found[:, i], expected.expand(3, -1)), node


@given(graph=any_graph, seed=seeds)
def test_factor_depends_on_its_noise_and_its_ancestors_noise_only(
    random_flow, noise, jacobian, graph, seed
):
    flow, eps = random_flow(graph, seed=seed), noise(3, len(graph), seed)
    found = jacobian(lambda v: flow(v)[0], eps) != 0
    for i, node in enumerate(graph.nodes):
        allowed = {node, *graph.ancestors(node)}
        expected = torch.tensor([n in allowed for n in graph.nodes])
        assert torch.equal(found[:, i], expected.expand(3, -1)), node


@given(graph=any_graph, seed=seeds)
def test_permuting_nodes_with_their_mechanisms_changes_nothing(random_flow, noise, graph, seed):
    flow, eps = random_flow(graph, seed=seed), noise(5, len(graph), seed)
    order = torch.randperm(len(graph), generator=torch.Generator().manual_seed(seed)).tolist()
    shuffled = CausalGraph([graph.nodes[i] for i in order], graph.edges)
    other = random_flow(shuffled, seed=seed + 1)
    for node in graph.nodes:
        state = dict(flow.mechanisms[node].state_dict())
        if graph.parents(node):  # a row a parent, in node order
            rows = [graph.parents(node).index(p) for p in shuffled.parents(node)]
            state["weights.0"] = state["weights.0"][rows]
        other.mechanisms[node].load_state_dict(state)
    factors, log_det = flow(eps)
    found, found_log_det = other(eps[:, order])
    torch.testing.assert_close(found, factors[:, order], rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(found_log_det, log_det, rtol=1e-8, atol=1e-8)


def test_mechanism_is_the_documented_network(random_flow, noise, diamond):
    flow, parents = random_flow(diamond), noise(6, 2)
    own = flow.mechanisms["middle"]
    hidden = parents
    for weight, bias in list(zip(own.weights, own.biases, strict=True))[:-1]:
        hidden = hidden @ weight + bias
        hidden = hidden / (1 + torch.exp(-hidden))
    raw, shift = (hidden @ own.weights[-1] + own.biases[-1]).unbind(-1)
    low, high = flow.bounded.low, flow.bounded.high
    start = -low / (high - low)
    log_scale = low + (high - low) / (1 + torch.exp(-raw) * (1 - start) / start)
    found = flow.mechanism("middle", parents)
    torch.testing.assert_close(found, (log_scale, shift))


def test_log_scale_never_leaves_its_bounds(random_flow, noise, diamond):
    flow = random_flow(diamond, hidden=(), log_scale=(-3.0, 0.5))
    with torch.no_grad():
        for p in flow.parameters():
            p.mul_(100)
    log_scale, _ = flow.mechanism("middle", 100 * noise(500, 2))
    assert log_scale.min() >= -3.0 and log_scale.max() <= 0.5
    assert log_scale.min() < -2.9 and log_scale.max() > 0.4


@pytest.mark.parametrize("bounds", [(1.0, 1.0), (1.0, 0.0), (-math.inf, 1.0), (0.0, math.nan)])
def test_wrong_bounds_are_refused(diamond, bounds):
    with pytest.raises(ValueError, match="log_scale"):
        CausalFlow(diamond, log_scale=bounds)


@pytest.mark.parametrize("bounds", [(1.0, 2.0), (-3.0, -1.0), (0.0, 1.0)])
def test_bounds_that_leave_zero_out_still_invert(noise, diamond, bounds):
    flow, eps = CausalFlow(diamond, log_scale=bounds).double(), noise(5, 4)
    torch.testing.assert_close(flow.inverse(flow(eps)[0])[0], eps)


# -------------------------------------------------------- interventions, counterfactuals


@given(graph=any_graph, seed=seeds, data=st.data())
def test_do_is_the_loop_over_nodes(random_flow, noise, node_by_node, graph, seed, data):
    flow, eps = random_flow(graph, seed=seed), noise(5, len(graph), seed)
    do = data.draw(interventions(graph))
    torch.testing.assert_close(
        flow.do(eps, do), node_by_node(flow, eps, do), rtol=1e-9, atol=1e-9
    )


@given(graph=any_graph, seed=seeds, data=st.data())
def test_do_sets_exactly_what_it_names_and_leaves_the_rest_of_the_world(
    random_flow, noise, graph, seed, data
):
    flow, eps = random_flow(graph, seed=seed), noise(5, len(graph), seed)
    do = data.draw(interventions(graph))
    factors, changed = flow(eps)[0], flow.do(eps, do)
    for name, value in do.items():
        wanted = torch.as_tensor(value, dtype=eps.dtype).expand(5)
        assert torch.equal(changed[:, graph.index(name)], wanted)
    for i, node in enumerate(graph.nodes):
        if node not in graph.affected(do):
            assert torch.equal(changed[:, i], factors[:, i])


@pytest.mark.parametrize("nothing", [None, {}])
def test_doing_nothing_is_forward(random_flow, noise, diamond, nothing):
    flow, eps = random_flow(diamond), noise(5, 4)
    assert torch.equal(flow.do(eps, nothing), flow(eps)[0])
    factors = noise(5, 4, seed=1)
    assert torch.equal(flow.counterfactual(factors, nothing), factors)


@given(graph=any_graph, seed=seeds, data=st.data())
def test_counterfactual_keeps_the_noise_of_every_untouched_factor(
    random_flow, noise, graph, seed, data
):
    flow, factors = random_flow(graph, seed=seed), noise(5, len(graph), seed)
    do = data.draw(interventions(graph))
    changed = flow.counterfactual(factors, do)
    before, after = flow.inverse(factors)[0], flow.inverse(changed)[0]
    for i, node in enumerate(graph.nodes):
        if node not in do:
            torch.testing.assert_close(after[:, i], before[:, i], rtol=1e-7, atol=1e-7)
        if node not in graph.affected(do):
            assert torch.equal(changed[:, i], factors[:, i])


@given(graph=any_graph, seed=seeds, data=st.data())
def test_setting_factors_to_what_they_were_changes_nothing(
    random_flow, noise, graph, seed, data
):
    flow, factors = random_flow(graph, seed=seed), noise(5, len(graph), seed)
    names = data.draw(st.sets(st.sampled_from(graph.nodes), min_size=1))
    do = {n: factors[:, graph.index(n)] for n in names}
    found = flow.counterfactual(factors, do)
    torch.testing.assert_close(found, factors, rtol=1e-7, atol=1e-7)


# ---------------------------------------------------------------------- the distribution


@given(graph=any_graph, seed=seeds)
def test_log_prob_is_the_change_of_variables(random_flow, noise, jacobian, graph, seed):
    flow, z = random_flow(graph, seed=seed), noise(4, len(graph), seed)
    base = Normal(z.new_zeros(()), z.new_ones(())).log_prob(flow.inverse(z)[0]).sum(-1)
    stretch = torch.linalg.slogdet(jacobian(lambda v: flow.inverse(v)[0], z))[1]
    torch.testing.assert_close(flow.log_prob(z), base + stretch, rtol=1e-8, atol=1e-8)


@given(graph=any_graph, seed=seeds)
def test_a_linear_flow_is_a_multivariate_normal(random_flow, noise, graph, seed):
    flow = random_flow(graph, hidden=(), seed=seed)
    d = len(graph)
    coefficients, shift = torch.zeros(d, d).double(), torch.zeros(d).double()
    raw = torch.zeros(d).double()
    with torch.no_grad():
        for i, node in enumerate(graph.nodes):
            own = flow.mechanisms[node]
            if not graph.parents(node):
                raw[i], shift[i] = own.raw_scale, own.shift
                continue
            own.weights[0][:, 0] = 0  # a scale that does not depend on the parents
            raw[i], shift[i] = own.biases[0]
            for row, parent in enumerate(graph.parents(node)):
                coefficients[i, graph.index(parent)] = own.weights[0][row, 1]
        low, high = flow.bounded.low, flow.bounded.high
        start = math.log(-low / high)
        scale = torch.exp(low + (high - low) / (1 + torch.exp(-(raw + start))))
        mixing = torch.linalg.inv(torch.eye(d).double() - coefficients)
        spread = mixing @ torch.diag(scale)
        expected = MultivariateNormal(mixing @ shift, spread @ spread.T)
        z = noise(6, d, seed)
        torch.testing.assert_close(flow.log_prob(z), expected.log_prob(z), rtol=1e-6, atol=1e-6)


@given(graph=any_graph, seed=seeds)
def test_node_terms_add_up_to_log_prob(random_flow, noise, graph, seed):
    flow, z = random_flow(graph, seed=seed), noise(5, len(graph), seed)
    torch.testing.assert_close(flow.node_log_prob(z).sum(-1), flow.log_prob(z))


@given(graph=any_graph, seed=seeds)
def test_a_nan_leaves_out_its_own_and_its_childrens_terms(random_flow, noise, graph, seed):
    flow, z = random_flow(graph, seed=seed), noise(8, len(graph), seed)
    missing = noise(8, len(graph), seed + 1) > 0.8
    seen = torch.ones_like(missing)
    for i, node in enumerate(graph.nodes):
        for j in [i, *(graph.index(p) for p in graph.parents(node))]:
            seen[:, i] &= ~missing[:, j]
    full = flow.node_log_prob(z)
    expected = torch.autograd.grad(full[seen].sum(), list(flow.parameters()), allow_unused=True)
    part = flow.node_log_prob(z.masked_fill(missing, torch.nan))
    torch.testing.assert_close(part, torch.where(seen, full, 0.0).detach())
    found = torch.autograd.grad(part.sum(), list(flow.parameters()), allow_unused=True)
    for f, e, p in zip(found, expected, flow.parameters(), strict=True):
        f, e = (torch.zeros_like(p) if g is None else g for g in (f, e))
        torch.testing.assert_close(f, e)


@given(graph=any_graph, seed=seeds)
def test_gradient_reaches_every_parameter_and_every_edge(random_flow, noise, graph, seed):
    flow = random_flow(graph, seed=seed)
    flow.log_prob(noise(5, len(graph), seed)).sum().backward()
    for name, parameter in flow.named_parameters():
        assert parameter.grad.ne(0).any(), name
    for node in graph.nodes:
        if graph.parents(node):
            rows = flow.mechanisms[node].weights[0].grad
            assert len(rows) == len(graph.parents(node))
            assert rows.ne(0).any(-1).all(), node


def test_samples_have_the_linear_systems_mean_and_spread(diamond):
    flow = CausalFlow(diamond, hidden=())
    with torch.no_grad():
        flow.mechanisms["left"].shift.fill_(2.0)
        middle = flow.mechanisms["middle"]
        middle.weights[0].copy_(torch.tensor([[0.0, 3.0], [0.0, -1.0]]))
    drawn = flow.sample(20_000, seed=0)[:, diamond.index("middle")]
    assert drawn.mean().item() == pytest.approx(6.0, abs=5 * math.sqrt(11 / 20_000))
    assert drawn.std().item() == pytest.approx(math.sqrt(11), rel=0.03)


def test_sample_is_a_function_of_the_seed(random_flow, diamond):
    flow = random_flow(diamond)
    assert torch.equal(flow.sample(5, seed=3), flow.sample(5, seed=3))
    assert not torch.equal(flow.sample(5, seed=3), flow.sample(5, seed=4))
    one, two = flow.sample(5, seed=3), flow.sample(5, do={"middle": 1.0}, seed=3)
    for name in ("left", "right"):
        assert torch.equal(one[:, diamond.index(name)], two[:, diamond.index(name)])


# ------------------------------------------------------------------------ size and shape


@pytest.mark.parametrize("rows", [0, 1])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_small_batches_and_dtypes(random_flow, noise, diamond, rows, dtype):
    flow, x = random_flow(diamond, dtype=dtype), noise(rows, 4, dtype=dtype)
    for matrix in (
        flow(x)[0], flow.inverse(x)[0], flow.do(x, {"left": 1.0}), flow.node_log_prob(x),
        flow.counterfactual(x, {"left": 1.0, "middle": 0.0}),
    ):  # fmt: skip
        assert matrix.shape == (rows, 4) and matrix.dtype == dtype
    for vector in (flow(x)[1], flow.inverse(x)[1], flow.log_prob(x)):
        assert vector.shape == (rows,) and vector.dtype == dtype
    assert flow.sample(rows, seed=0).shape == (rows, 4)


def test_a_batch_is_its_rows_one_by_one(random_flow, noise, diamond):
    flow, eps = random_flow(diamond), noise(6, 4)
    apart = torch.cat([flow(row[None])[0] for row in eps])
    torch.testing.assert_close(flow(eps)[0], apart)


def test_a_long_chain_evaluates_each_mechanism_once(random_flow, noise, monkeypatch):
    flow, evaluated = random_flow(chain(256)), []
    original = flow_module.evaluate

    def counting(mechanisms, inputs):
        evaluated.extend(id(m) for m in mechanisms)
        return original(mechanisms, inputs)

    monkeypatch.setattr(flow_module, "evaluate", counting)
    flow(noise(2, 256))
    assert len(evaluated) == len(set(evaluated)) == 255


def test_evaluating_a_few_mechanisms_at_a_time_changes_nothing(
    random_flow, noise, monkeypatch, diamond
):
    flow, eps = random_flow(diamond), noise(5, len(diamond), 0)
    whole = flow.inverse(eps)
    monkeypatch.setattr(mechanisms, "CACHED", 1)
    for part, all_at_once in zip(flow.inverse(eps), whole, strict=True):
        torch.testing.assert_close(part, all_at_once)


def test_a_root_owns_exactly_two_numbers(diamond):
    flow = CausalFlow(diamond)
    for node in diamond.nodes:
        owned = sum(p.numel() for p in flow.mechanisms[node].parameters())
        assert (owned == 2) == (node in diamond.roots)


def test_awkward_names_are_names_like_any_other(noise):
    graph = CausalGraph(["keys", "a.b", "0"], [("keys", "a.b"), ("a.b", "0")])
    flow = CausalFlow(graph).double()
    assert flow.do(noise(2, 3), {"a.b": 1.5})[:, 1].tolist() == [1.5, 1.5]
    assert sum(p.numel() for p in flow.mechanisms["keys"].parameters()) == 2
    with pytest.raises(ValueError):
        flow.mechanisms["zebra"]


@pytest.mark.parametrize("method", ["forward", "inverse", "log_prob"])
def test_wrong_inputs_are_named(diamond, method):
    ask = getattr(CausalFlow(diamond), method)
    with pytest.raises(ValueError, match=r"\(n, 4\).*\(3, 5\)"):
        ask(torch.zeros(3, 5))
    with pytest.raises(ValueError, match=r"\(4,\)"):
        ask(torch.zeros(4))
    for bad in (math.nan, math.inf):
        with pytest.raises(ValueError, match="NaN or an infinite"):
            ask(torch.full((3, 4), bad))


def test_mechanism_asks_for_the_parents_it_has(diamond):
    flow = CausalFlow(diamond)
    with pytest.raises(ValueError, match=r"left.*right.*\(n, 2\)"):
        flow.mechanism("middle", torch.zeros(3, 1))
    with pytest.raises(ValueError, match="zebra"):
        flow.do(torch.zeros(3, 4), {"zebra": 1.0})
