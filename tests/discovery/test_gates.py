import math
import statistics
from unittest import mock

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from caufvae_lite import CausalGraph
from caufvae_lite.discovery import choice, complete, find_graph, gates, held_out, order_scores
from caufvae_lite.discovery.choice import choose_graph
from caufvae_lite.discovery.gates import gated_flow, learn_gates
from caufvae_lite.discovery.held_out import HIDDEN, LOG_SCALE, folds, held_out_log_prob

any_graph = st.from_type(CausalGraph)
plain = {"hidden": (HIDDEN, HIDDEN), "log_scale": LOG_SCALE}


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def short_gates(monkeypatch):
    monkeypatch.setattr(gates, "WARM_UP", 60)
    monkeypatch.setattr(gates, "RISING", 120)


@pytest.fixture
def short_fits(monkeypatch):
    monkeypatch.setattr(held_out, "STEPS", 60)


def gated(flow):
    """A gated flow with the weights of a plain one, and its gates."""
    copy, doors = gated_flow(flow.graph)
    copy.to(torch.float64)
    state = {
        key.replace("weights.0", "weights.parametrizations.0.original"): value
        for key, value in flow.state_dict().items()
    }
    missing = copy.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    assert all(key.endswith("open") for key in missing.missing_keys)
    return copy, doors


def collider(n=500, seed=0):
    """a → c ← b, and d that has nothing to do with them; the order is a, b, d, c."""
    g = torch.Generator().manual_seed(seed)
    a, b, d = torch.randn(3, n, generator=g)
    c = torch.sin(2 * a) * b + 0.3 * torch.randn(n, generator=g)
    nodes = ["a", "b", "c", "d"]
    graph = CausalGraph(nodes, [("a", "c"), ("b", "c")])
    return torch.stack([a, b, c, d], -1), graph, complete(["a", "b", "d", "c"], nodes)


# ------------------------------------------------------------------------------- gates


@given(graph=any_graph, seed=st.integers(0, 1000))
def test_with_open_gates_it_is_the_causal_flow(random_flow, noise, graph, seed):
    flow, eps = random_flow(graph, seed=seed, **plain), noise(5, len(graph), seed)
    same, doors = gated(flow)
    assert torch.equal(same(eps)[0], flow(eps)[0])
    assert torch.equal(same.node_log_prob(eps), flow.node_log_prob(eps))
    assert [len(doors.get(node, ())) for node in graph.nodes] == list(graph.adjacency.sum(0))


@given(graph=any_graph, seed=st.integers(0, 1000))
def test_a_shut_gate_is_a_missing_edge(random_flow, noise, jacobian, graph, seed):
    flow, doors = gated(random_flow(graph, seed=seed, **plain))
    generator = torch.Generator().manual_seed(seed)
    kept = torch.eye(len(graph), dtype=torch.bool)
    for node, gate in doors.items():
        with torch.no_grad():
            gate.copy_(torch.randint(0, 2, gate.shape, generator=generator) * 0.7)
        for cause, value in zip(graph.parents(node), gate, strict=True):
            kept[graph.index(cause), graph.index(node)] = value > 0
    z = noise(3, len(graph), seed)
    reads = (jacobian(lambda v: flow.inverse(v)[0], z) != 0).any(0).T
    assert torch.equal(reads, kept)


def test_gates_learn_which_edges_are_needed(short_gates):
    x, graph, order = collider()
    _, strength = learn_gates(x, order)
    needed = torch.tensor(graph.adjacency)
    idle = torch.tensor(order.adjacency) & ~needed
    assert strength[needed].min() > 1.5 * strength[idle].max()
    assert (strength[~torch.tensor(order.adjacency)] == 0).all()


# --------------------------------------------------------------------------- the choice


@pytest.fixture(scope="module")
def found():
    """The search over the collider, with shorter fits than it makes by itself."""
    torch.set_num_threads(1)
    x, _, order = collider()
    short = mock.patch.multiple(gates, WARM_UP=60, RISING=120)
    with short, mock.patch.object(held_out, "STEPS", 60):
        return find_graph(x, order)


def test_a_known_graph_is_recovered(found):
    assert found.graph == collider()[1]


def test_the_choice_is_the_sparsest_that_is_not_significantly_worse(found):
    critical = stats.t.ppf(0.95, 4)  # one-sided 5 %, five folds
    for node, candidates in found.candidates.items():
        k = len(found.graph.parents(node))
        assert set(candidates[k].parents) == set(found.graph.parents(node))
        assert candidates[k].errors <= critical
        assert all(sparser.errors > critical for sparser in candidates[:k])
        assert min(candidate.worse for candidate in candidates) == 0


@pytest.mark.parametrize(("gap", "edges"), [(1.94, ()), (2.3, (("a", "b"),))])
def test_an_edge_is_kept_if_it_gains_more_than_the_test_allows_for_luck(
    monkeypatch, gap, edges
):
    """Student's t at 5 %, one-sided, with four degrees of freedom, is 2.132."""
    by_fold = torch.tensor([-2.0, -1.0, 0.0, 1.0, 2.0]) / math.sqrt(2.5)  # deviation 1
    gain = (by_fold + gap * math.sqrt(1 / 5 + 1 / 4))[folds(50, seed=0)]
    scores = torch.stack([torch.zeros(50), gain])
    monkeypatch.setattr(choice, "held_out_log_prob", lambda *_, **__: scores)
    graph = CausalGraph(["a", "b"], [("a", "b")])
    found = choose_graph(torch.randn(50, 2), graph, torch.ones(2, 2))
    assert found.graph.edges == edges


def test_the_error_of_a_gap_is_nadeaus_and_bengios():
    """By hand: the folds' mean gaps, their standard deviation, times √(1/5 + 1/4)."""
    generator = torch.Generator().manual_seed(1)
    scores, fold = torch.randn(3, 50, generator=generator), folds(50, seed=2)
    scores[0] += 1
    scores[:, 7] = torch.nan  # a row that nobody may use
    means, error = choice._means_and_errors(scores, fold)
    rows = [r for r in range(50) if r != 7]
    assert means[1] == pytest.approx(scores[1, rows].mean().item(), abs=1e-6)
    for k in (1, 2):
        gaps = [
            (scores[0] - scores[k])[[r for r in rows if fold[r] == f]].mean().item()
            for f in range(5)
        ]
        expected = statistics.stdev(gaps) * math.sqrt(1 / 5 + 1 / 4)
        assert error[k].item() == pytest.approx(expected, rel=1e-4)
    assert error[0] == 0


def test_folds_are_even_and_follow_the_seed():
    fold = folds(53, seed=0)
    assert sorted(torch.bincount(fold).tolist()) == [10, 10, 11, 11, 11]
    assert not torch.equal(fold, folds(53, seed=1))


def test_missing_labels_are_left_out_and_units_do_not_matter(short_gates, short_fits):
    x, graph, order = collider()
    holes = torch.cat([x * 1000 + 5, torch.full((100, 4), torch.nan)])
    holes[:50, 3] = torch.nan
    _, strength = learn_gates(holes, order)
    assert choose_graph(holes, order, strength).graph == graph


def test_a_row_without_the_node_is_not_scored(short_fits):
    x, _, _ = collider(60)
    x[:7, 2] = torch.nan
    scores = held_out_log_prob(x, [(2, ()), (2, (0, 1))])
    assert torch.isnan(scores[:, :7]).all() and torch.isfinite(scores[:, 7:]).all()


def test_held_out_rows_do_not_teach():
    """Without parents the score is that of a normal law fitted to the other folds."""
    x = torch.randn(200, 1, generator=torch.Generator().manual_seed(0))
    score = held_out_log_prob(x, [(0, ())])[0].mean()
    assert abs(score + 0.5 * (math.log(2 * math.pi) + 1)) < 0.05


def test_a_parent_that_tells_nothing_does_not_raise_the_score():
    """A network learns forty rows by heart. It would gain a lot if it were scored on them."""
    x = torch.randn(40, 2, generator=torch.Generator().manual_seed(0))
    alone, given = held_out_log_prob(x, [(1, ()), (1, (0,))])
    assert given.mean() < alone.mean() + 0.05


def test_parents_that_tell_something_raise_the_score_by_what_they_tell(short_fits):
    """The gain of a linear parent is the mutual information of two normal variables."""
    x = torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    x[:, 1] = 0.8 * x[:, 0] + 0.6 * x[:, 1]
    alone, given = held_out_log_prob(x, [(1, ()), (1, (0,))]).mean(1)
    assert given - alone == pytest.approx(-math.log(0.6), abs=0.03)


def test_fits_follow_their_seed_and_leave_the_global_one_alone(short_fits):
    x, _, _ = collider(60)
    before = torch.get_rng_state()
    first, again, other = (held_out_log_prob(x, [(2, (0, 1))], seed) for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert torch.equal(torch.get_rng_state(), before)


def test_no_edges_and_one_factor():
    x = torch.randn(50, 3, generator=torch.Generator().manual_seed(0))
    assert find_graph(x, CausalGraph(["a", "b", "c"])).graph.edges == ()
    assert find_graph(x[:, :1], CausalGraph(["a"])).graph.edges == ()


def test_errors_name_what_is_wrong(diamond):
    with pytest.raises(ValueError, match=r"\(n, 4\)"):
        find_graph(torch.zeros(30, 3), diamond)
    with pytest.raises(ValueError, match="infinite"):
        learn_gates(torch.full((30, 4), torch.inf), diamond)
    with pytest.raises(ValueError, match=r"10 labels or more; \['end'\]"):
        few = torch.randn(30, 4)
        few[9:, diamond.index("end")] = torch.nan
        learn_gates(few, diamond)


# -------------------------------------------------------------------- order, comparisons


def test_the_scores_of_all_orders():
    x, _, _ = collider(100)
    scores = order_scores(x[:, :3], ["a", "b", "c"])
    assert len(scores) == 6 and list(scores.values()) == sorted(scores.values(), reverse=True)
    with pytest.raises(ValueError, match="too many"):
        order_scores(torch.randn(50, 6), [f"x{i}" for i in range(6)])
