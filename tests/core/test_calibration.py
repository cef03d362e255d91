"""Calibrated draws: their spread against closed forms, and what they refuse to say."""

import math

import pytest
import torch

from caufvae_lite import (
    CausalFlow,
    CausalGraph,
    Decoded,
    FactorDataset,
    fit,
    load,
    posterior,
    save,
)
from caufvae_lite.data import held_out_rows
from caufvae_lite.posterior import ENOUGH, FLOWS, Calibration

CHAIN = CausalGraph(["cause", "effect"], [("cause", "effect")])


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    """Where nobody asks what the flows have learned, they need not learn for long."""
    monkeypatch.setattr(posterior, "STEPS", 20)


@pytest.fixture(scope="module")
def held_out(diamond):
    """Labelled pictures of random noise: whatever a model reads off them, it errs."""
    n, generator = 200, seeded(1)
    images = torch.rand(n, 3, 16, 16, generator=generator)
    return FactorDataset(images, torch.randn(n, 4, generator=generator), diamond)


def calibrated(new_model, held_out, seed=0, **options):
    model = new_model(held_out.graph, **options)
    model.calibrate(held_out, seed=seed)
    return model


# ------------------------------------------------------------------------- the spread


def test_factors_spread_as_the_errors_of_the_held_out_rows(new_model, held_out):
    """Every draw is h(x) less the error of one held-out row, and all rows come up."""
    model = calibrated(new_model, held_out)
    images = held_out.images[:3]
    errors = model.factors(held_out.images) - held_out.factors
    off = model.factors(images) - model.factors(images, samples=2000, seed=0)
    distance = (off.flatten(0, 1)[:, None] - errors).abs().amax(-1).min(1)
    assert distance.values.max() < 1e-4
    assert len(distance.indices.unique()) == len(held_out)
    torch.testing.assert_close(off.std((0, 1)), errors.std(0), rtol=0.1, atol=0)


def linear(n, seed):
    """n labels of effect = 0.5 cause + 0.8 e, and how uncertain the slope is from them."""
    cause, e = torch.randn(2, n, generator=seeded(seed))
    labels = torch.stack([cause, 0.5 * cause + 0.8 * e], -1)
    return labels, 0.8 / (cause.std() * math.sqrt(n)).item()


def slopes_of(labels, seed):
    torch.manual_seed(seed)
    calibration = Calibration(CausalFlow(CHAIN, hidden=()), torch.zeros(ENOUGH, 2))
    calibration.learn(labels, seeded(seed))
    ends = torch.tensor([[0.0], [1.0]])
    shifts = [flow.mechanism("effect", ends)[1] for flow in calibration.flows]
    return torch.stack([t[1] - t[0] for t in shifts]).detach()


@pytest.mark.parametrize("n", [100, 1600])
def test_the_flows_differ_as_regressions_on_so_many_rows_do(n, monkeypatch):
    """Against the standard error of least squares, in five sets of eight flows each."""
    monkeypatch.undo()
    found, expected = [], []
    for seed in range(5):
        labels, error = linear(n, seed)
        slopes = slopes_of(labels, seed)
        found.append(slopes.var().item())
        expected.append(error**2)
        assert abs(slopes.mean() - 0.5) < 5 * error
    # 35 degrees of freedom: the ratio of the deviations is within 1 ± .36 in 99.8 % of the
    # cases. Stochastic gradients add some of their own.
    assert 0.64 < math.sqrt(sum(found) / sum(expected)) < 1.5


def test_draws_under_do_take_the_flows_in_turn(new_model, held_out):
    model = calibrated(new_model, held_out)
    model.calibration.scale.fill_(1.0)
    seen = torch.randn(7, 4, generator=seeded(2))
    do = {"left": torch.linspace(-1, 1, 7)}
    drawn = model.calibration.draws(seen, do, FLOWS + 1, seeded(3))
    generator = seeded(3)
    for i, found in enumerate(drawn):
        rows = torch.randint(len(held_out), (7,), generator=generator)
        flow = model.calibration.flows[i % FLOWS]
        expected = flow.counterfactual(seen - model.calibration.errors[rows], do)
        torch.testing.assert_close(found, expected)


def test_an_effect_is_spread_about_the_flows_mean_for_the_same_causes(new_model, held_out):
    """left → middle → end: middle's scale is not applied to end a second time."""
    model = calibrated(new_model, held_out)
    calibration, do = model.calibration, {"left": torch.full((5,), 0.7)}
    index = held_out.graph.index
    calibration.errors.zero_()
    seen = torch.randn(5, 4, generator=seeded(2))

    def answers(middle, end):
        calibration.scale[index("middle")], calibration.scale[index("end")] = middle, end
        drawn = torch.stack(calibration.draws(seen, do, FLOWS, seeded()))
        return drawn[..., index("middle")], drawn[..., index("end")]

    one, two = answers(1.0, 1.0)[0], answers(2.0, 1.0)[0]
    torch.testing.assert_close(two - two.mean(0), 2 * (one - one.mean(0)))
    middle, end = answers(0.0, 1.0)
    assert middle.std(0).max() < 1e-5 < end.std(0).min()
    _, narrow = answers(0.0, 0.0)
    assert narrow.std(0).max() < 1e-5


def kinked(n, sigma, seed=0):
    """effect = 3 |cause| + σ e: a kink that these few steps cannot follow."""
    cause, e = torch.randn(2, n, generator=seeded(seed))
    return torch.stack([cause, 3 * cause.abs() - 2 + sigma * e], -1)


@pytest.mark.parametrize("sigma", [0.01, 1.0])
def test_what_all_flows_get_wrong_alike_widens_the_spread(sigma, monkeypatch):
    """Linear flows miss a kink by the same amount. Their spread about the mean, once it is
    scaled, is as large as their error against the law, which only this test knows."""
    monkeypatch.undo()
    monkeypatch.setattr(posterior, "WIDEST", 100.0)
    torch.manual_seed(0)
    calibration = Calibration(CausalFlow(CHAIN, hidden=()), torch.zeros(ENOUGH, 2))
    labels = kinked(2000, sigma)
    calibration.learn(labels, seeded())
    causes = labels[:, :1]
    with torch.no_grad():
        said = torch.stack([f.mechanism("effect", causes)[1] for f in calibration.flows])
    law = 3 * causes[:, 0].abs() - 2
    error = (said.mean(0) - law).square().mean().sqrt()
    assert error > 1  # and so the flows are wrong indeed
    spread = said.var(0).mean().sqrt() * calibration.scale[1]
    assert 0.8 < (spread / error) < 1.25
    monkeypatch.setattr(posterior, "WIDEST", 3.0)
    calibration.learn(labels, seeded())
    assert calibration.scale[1] == 3.0


def test_where_the_flows_are_right_nothing_is_widened_much(monkeypatch):
    monkeypatch.undo()
    scales = []
    for seed in range(5):
        labels, _ = linear(1600, seed)
        torch.manual_seed(seed)
        calibration = Calibration(CausalFlow(CHAIN, hidden=()), torch.zeros(ENOUGH, 2))
        calibration.learn(labels, seeded(seed))
        scales.append(calibration.scale[1].item())
        assert calibration.scale[0] == 1.0  # a root has no mechanism to err
    assert sorted(scales)[2] < 2, scales


def test_rows_with_equal_causes_are_not_taken_for_their_own_neighbours():
    """Of seven rows with one cause the tree may name any first, not only the row itself.

    A row's own squared residual is the variance of its noise, here 1, and no error of the
    flows. These know the law, effect = e, up to a shift of .1 in either direction.
    """
    cause = torch.arange(1400).div(7, rounding_mode="floor") / 100
    labels = torch.stack([cause, torch.randn(1400, generator=seeded(1))], -1)
    calibration = Calibration(CausalFlow(CHAIN, hidden=()), torch.zeros(ENOUGH, 2))
    with torch.no_grad():
        for k, flow in enumerate(calibration.flows):
            for weights in flow.mechanisms["effect"].parameters():
                weights.zero_()
            flow.mechanisms["effect"].biases[-1][1] = 0.1 * (-1) ** k
    bags = torch.randint(1400, (FLOWS, 1400), generator=seeded(2))
    calibration._widen(labels, bags, [(1, [0])])
    # With each row as a neighbour of itself, √(1/7 ÷ .015) = 3.1, and so WIDEST.
    assert calibration.scale[1] < 2


def test_a_row_is_predicted_by_the_flows_that_have_not_seen_it():
    """Half of the flows saw only effects of 1, and say 1. The others saw and say −1.

    Every row they have not seen they miss by 2. Their variance is 8/7; and a mean of the four
    flows that missed a row varies by a quarter of it on top.
    """
    high = torch.arange(400) < 200
    effect = torch.where(high, 1.0, -1.0)
    cause = torch.arange(400) / 100 + 10 * high
    calibration = Calibration(CausalFlow(CHAIN, hidden=()), torch.zeros(ENOUGH, 2))
    with torch.no_grad():
        for k, flow in enumerate(calibration.flows):
            for weights in flow.mechanisms["effect"].parameters():
                weights.zero_()
            flow.mechanisms["effect"].biases[-1][1] = (-1.0) ** k
    halves = torch.arange(200).repeat(2), 200 + torch.arange(200).repeat(2)
    bags = torch.stack([halves[k % 2] for k in range(FLOWS)])
    calibration._widen(torch.stack([cause, effect], -1), bags, [(1, [0])])
    expected = 2 / math.sqrt(8 / 7 * (1 + 1 / 4))
    assert calibration.scale[1].item() == pytest.approx(expected, rel=1e-4)


def test_what_do_cannot_reach_is_drawn_as_without_it(new_model, held_out):
    model, images = calibrated(new_model, held_out), held_out.images[:5]
    usual = model.factors(images, samples=9, seed=0)
    under = model.factors(images, samples=9, seed=0, do={"left": 0.3})
    right = held_out.graph.index("right")  # no descendant of left
    assert torch.equal(under[..., right], usual[..., right])


def test_factors_under_do_are_those_of_the_counterfactual(new_model, held_out):
    model, images = calibrated(new_model, held_out), held_out.images[:5]
    do = {"left": 0.3}
    for samples in (None, 3):
        expected = model.counterfactual(images, do, samples, seed=1).factors
        assert torch.equal(model.factors(images, samples, 1, do), expected)


# ------------------------------------------------------------------------ intervals


def test_an_interval_is_the_middle_of_the_draws():
    draws = torch.linspace(0, 1, 101)[:, None, None].expand(101, 2, 3)
    low, high = Decoded(torch.zeros(101, 2), draws, calibrated=True).interval(0.8)
    assert low.shape == (2, 3)
    torch.testing.assert_close(low, torch.full((2, 3), 0.1))
    torch.testing.assert_close(high, torch.full((2, 3), 0.9))


def test_without_draws_or_calibration_there_is_no_interval(new_model, held_out):
    model, images = new_model(held_out.graph), held_out.images[:2]
    with pytest.raises(ValueError, match="no labelled row has said"):
        model.counterfactual(images, {"left": 0.0}, samples=3, seed=0).interval()
    model.calibrate(held_out)
    with pytest.raises(ValueError, match="samples=k"):
        model.counterfactual(images, {"left": 0.0}).interval()
    with pytest.raises(ValueError, match="level"):
        model.counterfactual(images, {"left": 0.0}, samples=3, seed=0).interval(1.0)


def test_what_was_set_is_certain(new_model, held_out):
    model = calibrated(new_model, held_out)
    answer = model.counterfactual(held_out.images[:3], {"left": 0.4}, samples=50, seed=0)
    low, high = answer.interval()
    torch.testing.assert_close(low[:, 1], torch.full((3,), 0.4))
    torch.testing.assert_close(high[:, 1], low[:, 1])
    others = [i for i, name in enumerate(held_out.graph.nodes) if name != "left"]
    assert ((high - low)[:, others] > 0).all()


# ------------------------------------------------------------- when there is a calibration


def test_too_few_labelled_rows_are_refused_and_leave_none(new_model, held_out):
    model = calibrated(new_model, held_out)
    labels = held_out.factors.clone()
    labels[ENOUGH - 1 :, 2] = torch.nan
    with pytest.raises(
        ValueError, match=f"at least {ENOUGH} held-out .* {ENOUGH - 1}: too few"
    ):
        model.calibrate(held_out.with_factors(labels))
    assert model.calibration is None
    with pytest.raises(ValueError, match="here are 10: too few"):
        model.calibrate(held_out, torch.arange(10))


def test_fit_calibrates_by_the_rows_that_it_held_out(new_model, small_data):
    data = small_data.rows(torch.arange(len(small_data)).repeat(400 // len(small_data) + 1))
    model, other = new_model(data.graph), new_model(data.graph)
    options = {"epochs": 1, "device": "cpu", "progress": False, "seed": 3}
    fit(model, data, **options)
    fit(other, data, calibrate=False, **options)
    assert other.calibration is None
    assert all(torch.equal(p, dict(model.named_parameters())[n]) for n, p in
               other.named_parameters())  # fmt: skip
    rows, _ = held_out_rows(len(data), 0.1, seed=3)
    other.calibrate(data, rows, seed=3)
    images, do = data.images[:3], {data.graph.nodes[0]: data.factors[5, 0]}
    one, two = (m.factors(images, 9, 0, do) for m in (model, other))
    assert torch.equal(one, two)
    fit(model, data, label_fraction=0.02, **options)
    assert model.calibration is None, "a new training must forget the old calibration"


def test_a_calibration_is_saved_and_loaded(new_model, held_out, tmp_path):
    model = calibrated(new_model, held_out, extra_dims=1)
    again = load(save(model, tmp_path / "model.safetensors"))
    answers = [
        m.counterfactual(held_out.images[:3], {"left": 0.2}, samples=9, seed=0)
        for m in (model, again)
    ]
    assert torch.equal(answers[0].factors, answers[1].factors)
    assert torch.equal(answers[0].images, answers[1].images)
    assert answers[1].calibrated


def test_a_binary_factor_is_drawn_as_the_encoder_sees_it(new_model, held_out):
    labels = held_out.factors.clone()
    labels[:, 1] = (labels[:, 1] > 0).float()
    kinds = {"left": "binary"}
    data = FactorDataset(held_out.images, labels, held_out.graph, kinds=kinds)
    model = new_model(data.graph)
    model.binary[1] = True
    model.calibrate(data)
    drawn = model.factors(data.images[:4], samples=20, seed=0)
    assert torch.isfinite(drawn).all()
    torch.testing.assert_close(drawn[:, :, 1], drawn[:1, :, 1].expand(20, 4))
    children = [held_out.graph.index(name) for name in held_out.graph.children("left")]
    for i in children:  # a mechanism with a binary cause stays the model's
        for flow in model.calibration.flows:
            own = model.flow.mechanisms[i].weights[0]
            assert torch.equal(flow.mechanisms[i].weights[0], own)


@pytest.mark.parametrize("nodes", [["alone"], ["one", "two"]])
def test_a_graph_without_arrows_is_fine(new_model, nodes):
    graph = CausalGraph(nodes, [])
    images = torch.rand(50, 3, 16, 16, generator=seeded())
    data = FactorDataset(images, torch.randn(50, len(nodes), generator=seeded()), graph)
    model = new_model(graph)
    model.calibrate(data)
    answer = model.counterfactual(images[:2], {nodes[0]: 1.0}, samples=5, seed=0)
    assert answer.factors.shape == (5, 2, len(nodes)) and torch.isfinite(answer.factors).all()
    assert model.factors(images[:0], samples=2, seed=0).shape == (2, 0, len(nodes))
