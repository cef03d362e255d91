import math
from itertools import pairwise

import pytest
import torch

from caufvae_lite import CauFVAE, CausalGraph, FactorDataset, History, fit, training
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.scaling import Team, TrainingStopped

SHAPE = (3, 16, 16)


def new(graph, seed=0, **options):
    torch.manual_seed(seed)
    return CauFVAE(graph, SHAPE, **options)


def train(model, data, epochs=2, **options):
    return fit(model, data, epochs=epochs, device="cpu", progress=False, **options)


def same_state(one, other):
    one, other = one.state_dict(), other.state_dict()
    assert one.keys() == other.keys()
    return all(torch.equal(one[k], other[k]) for k in one)


def watch(model):
    """Note every ``(training?, images, labels)`` that the model's loss is asked for."""
    seen, row_terms = [], model.row_terms

    def noting(images, factors, draws):
        seen.append((model.training, images.clone(), factors.clone()))
        return row_terms(images, factors, draws)

    model.row_terms = noting
    return seen


def interrupt_at(monkeypatch, call):
    """Ctrl-C at the ``call``-th validation, that is, at the end of that epoch's steps."""
    original, calls = Team.validate, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == call:
            raise KeyboardInterrupt
        return original(*args)

    monkeypatch.setattr(Team, "validate", interrupted)


# ------------------------------------------------------------------------------- repeats


def test_the_same_seed_gives_the_same_weights(small_data):
    models = [new(small_data.graph) for _ in range(3)]
    one = train(models[0], small_data, seed=0)
    same = train(models[1], small_data, seed=0)
    train(models[2], small_data, seed=1)
    assert same_state(models[0], models[1])
    assert not same_state(models[0], models[2])
    assert one.train == same.train and one.validation == same.validation


def test_training_lowers_the_validation_loss(small_data):
    history = train(new(small_data.graph), small_data, epochs=6)
    assert history.best_loss < 0.9 * history.validation[0]["total"]


@pytest.mark.parametrize("prior", ["scm", "label"])
def test_a_stopped_run_ends_where_an_uninterrupted_one_does(
    small_data, tmp_path, monkeypatch, prior
):
    whole = new(small_data.graph, prior=prior)
    expected = train(whole, small_data, epochs=3)
    path = tmp_path / "run.safetensors"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        interrupt_at(patch, call=2)
        train(new(small_data.graph, prior=prior), small_data, epochs=3, checkpoint=path)
    other = new(small_data.graph, seed=99, prior=prior)  # its weights come from the file
    found = train(other, small_data, epochs=3, checkpoint=path, resume=True)
    assert len(found) == 3
    assert same_state(other, whole)
    assert found.train == expected.train and found.validation == expected.validation
    assert found.best_epoch == expected.best_epoch


def test_an_interrupted_model_is_left_in_its_best_state(small_data, monkeypatch):
    model, states = new(small_data.graph), []
    interrupt_at(monkeypatch, call=2)
    original = Team.validate

    def noting(*args):
        states.append({k: v.clone() for k, v in model.state_dict().items()})
        return original(*args)

    monkeypatch.setattr(Team, "validate", noting)
    with pytest.raises(KeyboardInterrupt):
        train(model, small_data, epochs=3)
    assert not model.training
    assert all(torch.equal(v, states[0][k]) for k, v in model.state_dict().items())


def test_a_finished_run_resumes_to_itself(small_data, tmp_path):
    path, models = tmp_path / "run.safetensors", [new(small_data.graph, seed=s) for s in (0, 1)]
    histories = [train(m, small_data, checkpoint=path, resume=True) for m in models]
    assert same_state(*models)
    assert histories[0].validation == histories[1].validation


def test_without_resume_a_checkpoint_is_replaced(small_data, tmp_path):
    path, models = tmp_path / "run.safetensors", [new(small_data.graph, seed=s) for s in (0, 1)]
    for model in models:
        train(model, small_data, epochs=1, checkpoint=path)
    assert not same_state(*models)


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"seed": 1}, "seed"),
        ({"epochs": 3}, "epochs"),
        ({"label_fraction": 0.5}, "label_fraction"),
        ({"lr": 1e-3}, "lr"),
    ],
)
def test_resuming_with_other_settings_is_refused(small_data, tmp_path, changed, named):
    path = tmp_path / "run.safetensors"
    train(new(small_data.graph), small_data, epochs=1, checkpoint=path)
    with pytest.raises(ValueError, match=f"other settings.*{named}"):
        train(
            new(small_data.graph), small_data,
            **{"epochs": 1, "checkpoint": path, "resume": True, **changed},
        )  # fmt: skip


def test_resuming_another_model_is_refused(small_data, tmp_path):
    path = tmp_path / "run.safetensors"
    train(new(small_data.graph), small_data, epochs=1, checkpoint=path)
    other = new(small_data.graph.without_edges())
    with pytest.raises(ValueError, match=r"other settings.*config"):
        train(other, small_data, epochs=1, checkpoint=path, resume=True)


# ---------------------------------------------------------------- labels, units, held out


@pytest.mark.parametrize("seed", [0, 1])
def test_labelled_rows_are_nested(seed):
    kept = [training.labelled_rows(1000, f, seed) for f in (0, 0.001, 0.01, 0.1, 0.5, 1)]
    assert [k.sum().item() for k in kept] == [0, 1, 10, 100, 500, 1000]
    for fewer, more in pairwise(kept):
        assert (more | ~fewer).all()


def test_labelled_rows_depend_on_the_seed():
    one, other = (training.labelled_rows(1000, 0.1, s) for s in (0, 1))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("fraction", [-0.1, 1.1, math.nan])
def test_an_impossible_share_of_labels_is_refused(fraction):
    with pytest.raises(ValueError, match="label_fraction"):
        training.labelled_rows(10, fraction, 0)


def test_every_batch_holds_some_labelled_rows(small_data):
    model = new(small_data.graph)
    seen = watch(model)
    train(model, small_data, batch_size=10, label_fraction=0.1, labelled=4, epochs=2)
    batches = [labels for training, _, labels in seen if training]
    known = [(~torch.isnan(labels)).all(1) for labels in batches]
    few = [len(b) - 10 for b in batches[:5]]  # 58 rows are five whole batches and a rest
    assert few == [few[0]] * 5 and few[0] in (3, 4)  # one of ten is labelled anyway
    assert all(k.sum() >= few[0] for k in known)
    again = {tuple(row.tolist()) for b, k in zip(batches, known, strict=True) for row in b[k]}
    assert len(again) <= 7  # 10 % of 64 rows, and not another row's label
    added = {b[10:].numpy().tobytes() for b in batches if len(b) > 10}
    assert len(added) > 5  # others in every batch, and in every epoch


def test_labelled_rows_come_again_in_the_same_order(small_data, tmp_path):
    options = {"label_fraction": 0.1, "labelled": 4, "batch_size": 10, "epochs": 3}
    whole = new(small_data.graph)
    train(whole, small_data, **options)
    options |= {"checkpoint": tmp_path / "run.safetensors", "resume": True}
    asked: list[int] = []
    with pytest.raises(TrainingStopped):  # within the second epoch
        train(
            new(small_data.graph), small_data, **options,
            stop=lambda: asked.append(1) or len(asked) == 8,
        )  # fmt: skip
    parts = new(small_data.graph)
    train(parts, small_data, **options)
    assert same_state(whole, parts)


@pytest.mark.parametrize("fraction", [0.0, 1.0])
def test_where_labels_abound_or_lack_no_row_comes_again(small_data, fraction):
    one, other = new(small_data.graph), new(small_data.graph)
    train(one, small_data, label_fraction=fraction)
    train(other, small_data, label_fraction=fraction, labelled=4)
    assert same_state(one, other)


def test_every_model_sees_the_labels_of_the_same_rows(small_data):
    found = []
    graph = small_data.graph
    for model in (new(graph), new(graph.without_edges(), prior="label")):
        seen = watch(model)
        train(model, small_data, epochs=1, label_fraction=0.25)
        labels = torch.cat([labels for _, _, labels in seen])
        assert len(labels) == 64 and (~torch.isnan(labels)).all(1).sum() == 16
        assert torch.isnan(labels).any(1).sum() == 48
        found.append((labels, model.mean, model.std))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


@pytest.mark.parametrize("fraction", [1.0, 0.5])
def test_units_come_from_the_labelled_training_rows_alone(small_data, fraction):
    model = new(small_data.graph)
    seen = watch(model)
    train(model, small_data, epochs=1, label_fraction=fraction)
    labels = torch.cat([labels for training_, _, labels in seen if training_])
    labels = labels[~torch.isnan(labels).any(1)]
    torch.testing.assert_close(model.mean, labels.mean(0))
    torch.testing.assert_close(model.std, labels.std(0))


@pytest.mark.parametrize("few", [{}, {"label_fraction": 0.3, "labelled": 30}])
def test_held_out_rows_are_never_trained_on(small_data, few):
    model = new(small_data.graph)
    seen = watch(model)
    train(model, small_data, epochs=2, validation=0.25, **few)
    rows = {True: set(), False: set()}
    for is_training, images, _ in seen:
        rows[is_training] |= {image.numpy().tobytes() for image in images}
    assert len(rows[True]) == 48 and len(rows[False]) == 16
    assert not rows[True] & rows[False]


def test_a_run_without_any_label_leaves_the_units_alone(small_data):
    model = new(small_data.graph)
    history = train(model, small_data, epochs=1, label_fraction=0.0)
    assert history.train[0]["supervision"] == history.train[0]["label_likelihood"] == 0
    assert torch.equal(model.mean, torch.zeros(4)) and torch.equal(model.std, torch.ones(4))


def test_binary_factors_get_their_latents_from_training(small_data):
    graph = CausalGraph(["light_is_left", "rest"], [("light_is_left", "rest")])
    left = (small_data.factors[:, 1] > 93).float()
    factors = torch.stack([left, small_data.factors[:, 2]], 1)
    data = FactorDataset(small_data.images, factors, graph, kinds={"light_is_left": "binary"})
    model = new(graph)
    before = model.binary_latents.clone()
    train(model, data, epochs=4)
    assert model.binary.tolist() == [True, False]
    low, high = model.binary_latents[:, 0]
    assert low < high and not torch.equal(model.binary_latents[:, 0], before[:, 0])


# ------------------------------------------------------------------------- the best epoch


def test_the_model_ends_in_the_state_of_its_best_epoch(small_data, monkeypatch):
    model, states, totals = new(small_data.graph), [], [5.0, 3.0, 4.0]

    def scripted(*args):
        states.append({k: v.clone() for k, v in model.state_dict().items()})
        return dict.fromkeys(training.TERMS, totals[len(states) - 1]), 1.0

    monkeypatch.setattr(Team, "validate", scripted)
    history = train(model, small_data, epochs=3)
    assert history.best_epoch == 1 and history.best_loss == 3.0
    assert not model.training
    ended = model.state_dict()
    assert all(torch.equal(ended[k], states[1][k]) for k in ended)
    assert not all(torch.equal(states[2][k], states[1][k]) for k in ended)


def test_the_best_loss_is_that_of_the_model_one_is_left_with(small_data):
    model = new(small_data.graph)
    seen = watch(model)
    history = train(model, small_data, epochs=3, lr=2e-2)
    _, images, labels = seen[-1]
    noise = keyed_generator(0, training.VALIDATION)
    with torch.no_grad():
        found = model.loss(images, labels, noise)["total"].item()
    assert found == pytest.approx(history.best_loss, rel=1e-6)
    assert history.validation[history.best_epoch]["total"] == history.best_loss


def test_history_has_a_row_an_epoch_and_survives_json(small_data):
    history = train(new(small_data.graph), small_data, epochs=2)
    assert len(history) == len(history.validation) == len(history.seconds) == 2
    assert all(set(row) == set(training.TERMS) for row in history.train + history.validation)
    for row in history.train:
        parts = sum(v for k, v in row.items() if k != "total")
        assert row["total"] == pytest.approx(parts, rel=1e-5)
    assert History.from_json(history.to_json()) == history
    assert "2 epochs" in repr(history) and "no epoch" in repr(History())


def test_the_learning_rate_rises_once_and_falls_to_nothing():
    shares = [training.one_cycle(k / 100) for k in range(101)]
    assert shares[0] == pytest.approx(1 / 25) and shares[25] == pytest.approx(1)
    assert shares[100] == pytest.approx(0, abs=1e-12)
    assert shares[:26] == sorted(shares[:26]) and shares[25:] == sorted(shares[25:])[::-1]


# ------------------------------------------------------------------- when it goes wrong


def test_a_gradient_that_is_not_finite_stops_with_a_finite_model(small_data):
    model = new(small_data.graph)
    row_terms, asked = model.row_terms, []

    def failing(images, factors, draws):
        terms = row_terms(images, factors, draws)
        asked.append(model.training)
        if sum(asked) == 3:  # two steps an epoch: the second epoch's first one
            terms["kl"] = terms["kl"] * math.nan
        return terms

    model.row_terms = failing
    with pytest.raises(FloatingPointError, match="epoch 2"):
        train(model, small_data, epochs=3)
    assert all(torch.isfinite(v).all() for v in model.state_dict().values())
    assert not model.training


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
def test_a_gpu_that_is_not_there_is_an_error(small_data):
    with pytest.raises(RuntimeError, match="CUDA"):
        fit(new(small_data.graph), small_data, epochs=1, device="cuda", progress=False)
    assert training.choose_device("auto") == torch.device("cpu")


def test_a_run_does_not_depend_on_earlier_ones(small_data):
    models = [new(small_data.graph) for _ in range(2)]
    train(models[0], small_data, epochs=1)
    train(new(small_data.graph, seed=3), small_data, epochs=1)
    train(models[1], small_data, epochs=1)
    assert same_state(*models)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_training_on_a_gpu_and_back(small_data):
    model = new(small_data.graph)
    history = fit(model, small_data, epochs=1, device="cuda", progress=False)
    assert history.device.startswith("cuda") and model.mean.is_cuda
    assert model.factors(small_data.images[:4]).is_cuda
    again = new(small_data.graph)
    assert train(again, small_data, epochs=1).device == "cpu" and not again.mean.is_cuda


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 0}, "batch_size"),
        ({"validation": 0.0}, "validation"),
        ({"validation": 1.0}, "validation"),
        ({"label_fraction": 2.0}, "label_fraction"),
    ],
)
def test_impossible_settings_are_refused(small_data, options, message):
    with pytest.raises(ValueError, match=message):
        train(new(small_data.graph), small_data, **{"epochs": 1, **options})


def test_data_that_does_not_suit_the_model_is_refused(small_data, diamond):
    with pytest.raises(ValueError, match=r"\(3, 20, 20\).*\(3, 16, 16\)"):
        train(CauFVAE(small_data.graph, (3, 20, 20)), small_data)
    with pytest.raises(ValueError, match="pendulum_angle"):
        train(new(diamond), small_data)
    with pytest.raises(ValueError, match="at least 2 rows"):
        train(new(small_data.graph), small_data.rows([0]))


def test_two_rows_are_enough(small_data):
    history = train(new(small_data.graph), small_data.rows([0, 1]), epochs=1)
    assert math.isfinite(history.train[0]["total"])


def test_on_epoch_sees_the_history_grow_and_stops_the_run_if_it_raises(small_data):
    seen = []
    history = train(new(small_data.graph), small_data, on_epoch=lambda h: seen.append(len(h)))
    assert seen == [1, 2] and len(history) == 2

    def stop(history):
        raise KeyboardInterrupt

    model = new(small_data.graph)
    with pytest.raises(KeyboardInterrupt):
        train(model, small_data, on_epoch=stop)
    assert not model.training
