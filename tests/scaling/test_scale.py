"""Several processes, accumulation, precision, killed runs, and data larger than the memory."""

import argparse
import copy
import json
import math
import os
import random
import signal
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scale_job
import torch

from caufvae_lite import (
    CauFVAE,
    FactorDataset,
    Pendulum,
    answers,
    factor_vae,
    fit,
    load,
    training,
)
from caufvae_lite import data as data_module
from caufvae_lite.baselines import VAE
from caufvae_lite.checkpoints import read_tensors
from caufvae_lite.commands import train as command
from caufvae_lite.factor_vae import TERMS
from caufvae_lite.scaling import Team, TrainingStopped, resume, team
from caufvae_lite.studies.scoreboard import with_controls

HELPERS = Path(scale_job.__file__).parent
SHAPE = (3, 16, 16)
ALONE = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
ENVIRONMENT = {**ALONE, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
NEEDS_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def new(graph, seed=0, **options):
    torch.manual_seed(seed)
    return CauFVAE(graph, SHAPE, **options)


def train(model, data, epochs=2, **options):
    options = {"device": "cpu", "progress": False, **options}
    return fit(model, data, epochs=epochs, **options)


def same_state(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[k], other[k]) for k in one)


def close_states(one, other, tolerance=1e-4):
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(
            one[name], other[name], rtol=tolerance, atol=tolerance, msg=lambda m, n=name: n + m
        )


def close_losses(one, other):
    for before, after in zip(one, other, strict=True):
        assert before == pytest.approx(after, rel=1e-5, abs=1e-4)


def python(*arguments, **environment):
    """Run Python to its end; on SIGTERM a launcher takes its processes with it."""
    running = subprocess.Popen(
        [sys.executable, *map(str, arguments)], env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        output, errors = running.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        running.terminate()
        output, errors = running.communicate(timeout=60)
        pytest.fail(f"took more than two minutes: {errors[-2000:]}")
    return subprocess.CompletedProcess(arguments, running.returncode, output, errors)


# ---------------------------------------------------------------------- shares of a batch


@pytest.mark.parametrize("name", with_controls())
def test_the_losses_and_gradients_of_parts_add_up(name):
    model = with_controls()[name].build(Pendulum(16), 0, extra_dims=1).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for p in model.mechanism_parameters():
            p += 0.2 * torch.randn(p.shape, generator=generator).to(p)
        model.mean += torch.linspace(-2, 3, 4)
        model.std *= 1.7
        model.binary[3] = True  # a leaf, so that the others' likelihoods stay
    images = torch.rand(7, *SHAPE, generator=generator).double()
    labels = torch.randn(7, 4, generator=generator).double()
    labels[:, 3] = (labels[:, 3] > 0).double()
    labels[torch.rand(7, 4, generator=generator) < 0.3] = math.nan
    labels[:3, 1] = math.nan  # a column that the first part never sees

    drawn = torch.Generator().manual_seed(2)
    draws = torch.randn(7, model.latent_dims, generator=drawn).double()

    def found(parts):
        model.zero_grad()
        sums = dict.fromkeys(TERMS, 0.0)
        for part in parts:
            rows = model.row_terms(images[part], labels[part], draws[part])
            terms = model.average(rows, model.rows_with(labels))
            terms["total"].backward()
            sums = {t: sums[t] + terms[t].item() for t in TERMS}
        return sums, [None if p.grad is None else p.grad.clone() for p in model.parameters()]

    whole, gradients = found([slice(0, 7)])
    sums, summed = found([slice(0, 3), slice(3, 3), slice(3, 5), slice(5, 7)])
    assert sums == pytest.approx(whole, rel=1e-10, abs=1e-10)
    for one, other in zip(summed, gradients, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)


def test_accumulation_changes_nothing_but_the_rounding(small_data):
    labels = small_data.factors.clone()
    labels[::3, 1:] = math.nan
    data, models = small_data.with_factors(labels), [new(small_data.graph) for _ in range(2)]
    histories = [
        train(model, data, batch_size=25, label_fraction=0.6, accumulate=k)
        for model, k in zip(models, (1, 4), strict=True)
    ]
    close_states(*(m.state_dict() for m in models))
    close_losses(*(h.train for h in histories))
    assert histories[0].validation[-1] == pytest.approx(histories[1].validation[-1], rel=1e-5)


def test_accumulation_holds_fewer_pictures_at_a_time(small_data):
    model, sizes = new(small_data.graph), []
    original = model.proposal
    model.proposal = lambda images: sizes.append(len(images)) or original(images)
    train(model, small_data, epochs=1, batch_size=32, accumulate=4)
    assert max(sizes[:4]) == 8 and sum(sizes[:4]) == 32


def test_a_model_that_overrides_its_loss_is_told_what_to_override(small_data):
    class Old(CauFVAE):
        def loss(self, images, factors, generator=None):
            return super().loss(images, factors, generator)

    with pytest.raises(TypeError, match=r"Old overrides loss.*row_terms"):
        train(Old(small_data.graph, SHAPE), small_data)


def test_an_unknown_option_is_named_beside_those_there_are(small_data):
    with pytest.raises(TypeError, match=r"no option learning_rate; it has .*'lr'"):
        train(new(small_data.graph), small_data, learning_rate=0.1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"accumulate": 0}, "accumulate"),
        ({"checkpoint_minutes": -1}, "checkpoint_minutes"),
        ({"checkpoint_minutes": math.nan}, "checkpoint_minutes"),
        ({"mixed_precision": "fp16"}, "loss scaling"),
        ({"mixed_precision": "half"}, "mixed_precision"),
    ],
)
def test_impossible_settings_are_refused(small_data, options, message):
    with pytest.raises(ValueError, match=message):
        train(new(small_data.graph), small_data, **options)


# ----------------------------------------------------------------------- two processes


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """What each of two gloo processes found, and the folder with their checkpoint."""
    folder = tmp_path_factory.mktemp("pair")
    done = python(
        "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", 2,
        HELPERS / "scale_job.py", folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder, *(torch.load(folder / f"{k}.pt") for k in (0, 1))


@pytest.mark.parametrize("name", scale_job.RUNS)
def test_two_processes_find_what_one_does(pair, name):
    _, first, second = pair
    assert first["count"] == second["count"] == 2
    alone = scale_job.train(**{**scale_job.RUNS[name], "accumulate": 1})
    close_losses(first[name]["train"], alone["train"])
    close_losses(first[name]["validation"], alone["validation"])
    close_states(first[name]["state"], alone["state"])
    assert first[name]["best"] == alone["best"]


@pytest.mark.parametrize("name", scale_job.RUNS)
def test_two_processes_agree_to_the_last_bit(pair, name):
    _, first, second = (r if isinstance(r, Path) else r[name] for r in pair)
    assert all(torch.equal(first["state"][k], second["state"][k]) for k in first["state"])
    for key in ("train", "validation", "best", "seconds", "device"):
        assert first[key] == second[key]
    assert first["device"] == "cpu × 2"


def test_a_parameter_without_a_gradient_is_left_alone(pair):
    assert torch.equal(pair[1]["an unused parameter"]["state"]["unused"], torch.ones(3))


def test_only_the_main_process_reports(pair):
    assert pair[1]["callbacks"] == [1, 2, 1, 2, 1, 2, 1] and pair[2]["callbacks"] == []


def test_one_process_asked_to_stop_stops_all_and_the_run_goes_on(pair, small_data):
    folder, first, second = pair
    for found in (first, second):
        assert found["stopped"].startswith("Stopped after step 4 of 6 in epoch 1 of 2.")
        assert found["stopped"].endswith("run.safetensors. True")
    alone = scale_job.train(batch_size=10)
    close_states(first["resumed"]["state"], alone["state"])
    other = scale_job.train(  # in one process, and in three rounds
        batch_size=10, accumulate=3, checkpoint=folder / "copy.safetensors", resume=True
    )
    close_states(other["state"], alone["state"])
    close_losses(other["train"], alone["train"])


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("refused", "other settings (lr)"),
        ("not finite", "no longer finite in epoch 2"),
        ("differing", "Process 1 differs from process 0 in lr"),
        ("main fails", "the disk is full"),
    ],
)
def test_what_goes_wrong_is_an_error_in_both(pair, what, message):
    for found in pair[1:]:
        assert message in found[what]


def test_a_notebook_starts_two_processes(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"""
from accelerate import notebook_launcher
from caufvae_lite import CauFVAE, Pendulum, fit
from caufvae_lite.commands import train
data = Pendulum(16).sample(16, seed=0)
train.load_data = lambda *args: data
fit(CauFVAE(data.graph, (3, 16, 16)), data, epochs=1, progress=False)  # leaves no state
def run():
    train.train("pendulum", epochs=1, device="cpu", out="{tmp_path}/model.safetensors",
                expect_processes=2, progress=False)
notebook_launcher(run, num_processes=2, use_port="{port}")
"""
    done = python("-c", code, ACCELERATE_USE_CPU="true")
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("2 process(es) on cpu × 2") == 1
    assert load(tmp_path / "model.safetensors").image_shape == SHAPE


# --------------------------------------------------------------- killed and resumed runs


def many(small_data):
    """Six steps an epoch, of ten rows."""
    return {"data": small_data, "epochs": 3, "batch_size": 10}


KILLED = """
import sys, torch
from caufvae_lite import CauFVAE, Pendulum, fit
torch.set_num_threads(1)
data = Pendulum(16).sample(64, seed=0)
torch.manual_seed(0)
def say():
    print("step", flush=True)
    return False
fit(CauFVAE(data.graph, (3, 16, 16)), data, epochs=3, batch_size=10, device="cpu",
    progress=False, checkpoint=sys.argv[1], checkpoint_minutes=0, stop=say)
"""


def test_a_run_killed_within_an_epoch_ends_bit_equal(small_data, tmp_path):
    path = tmp_path / "run.safetensors"
    stale = tmp_path / "run.safetensors.12345.partial"
    stale.write_bytes(b"half a checkpoint")
    (tmp_path / "other.partial").write_bytes(b"not ours")
    running = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)],
        stdout=subprocess.PIPE, env=ENVIRONMENT, text=True,
    )  # fmt: skip
    for _ in range(random.choice([3, 4, 5, 9, 10, 11])):  # any moment within these steps
        running.stdout.readline()
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL
    running.stdout.close()
    _, header = read_tensors(path)
    assert 1 <= header["step"] <= 6
    assert not stale.exists() and (tmp_path / "other.partial").exists()

    torch.set_num_threads(1)  # as in the other process: the order of sums depends on it
    whole, other = new(small_data.graph), new(small_data.graph, seed=9)
    expected = train(whole, **many(small_data))
    found = train(other, **many(small_data), checkpoint=path, resume=True)
    assert same_state(other, whole)
    assert found.train == expected.train and found.validation == expected.validation
    assert [f.name for f in tmp_path.iterdir() if "partial" in f.name] == ["other.partial"]


@pytest.mark.parametrize("step", [1, 6, 7, 18])
def test_a_stopped_run_ends_bit_equal(small_data, tmp_path, step):
    path, asked = tmp_path / "run.safetensors", []
    model = new(small_data.graph)
    with pytest.raises(TrainingStopped, match=f"step {(step - 1) % 6 + 1} of 6"):
        train(
            model, **many(small_data), checkpoint=path, checkpoint_minutes=math.inf,
            stop=lambda: asked.append(1) or len(asked) == step,
        )  # fmt: skip
    assert not model.training and len(asked) == step
    whole, other = new(small_data.graph), new(small_data.graph, seed=9)
    expected = train(whole, **many(small_data))
    found = train(other, **many(small_data), checkpoint=path, resume=True)
    assert same_state(other, whole)
    assert found.train == expected.train and found.validation == expected.validation
    assert all(seconds > 0 for seconds in found.seconds)


@pytest.mark.parametrize(("minutes", "written"), [(0, 2 * 6 + 2), (math.inf, 2), (7, 6 + 2)])
def test_checkpoints_are_written_in_time(small_data, tmp_path, monkeypatch, minutes, written):
    calls, clock = [], [0.0]

    class Clock:
        """Four minutes a step."""

        @staticmethod
        def perf_counter():
            return clock[0]

    def later():
        clock[0] += 240
        return False

    original = team.write_tensors
    monkeypatch.setattr(team, "time", Clock)
    monkeypatch.setattr(team, "write_tensors", lambda *a: calls.append(1) or original(*a))
    train(
        new(small_data.graph), small_data, batch_size=10, checkpoint=tmp_path / "r.safetensors",
        checkpoint_minutes=minutes, stop=later,
    )  # fmt: skip
    assert len(calls) == written


def test_a_checkpoint_of_another_version_is_refused(small_data, tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    with monkeypatch.context() as patch:
        patch.setattr(resume, "FORMAT", 1)
        train(new(small_data.graph), small_data, epochs=1, checkpoint=path)
    with pytest.raises(ValueError, match="another version"):
        train(new(small_data.graph), small_data, epochs=1, checkpoint=path, resume=True)


def test_other_pictures_or_labels_are_refused(small_data, tmp_path):
    path = tmp_path / "run.safetensors"
    train(new(small_data.graph), small_data, epochs=1, checkpoint=path)
    pictures, labels = small_data.images.clone(), small_data.factors.clone()
    pictures[-1, -1, -1, -1] ^= 1
    labels[-1, -1] += 1
    for images, factors in ((pictures, small_data.factors), (small_data.images, labels)):
        data = FactorDataset(images, factors, small_data.graph)
        with pytest.raises(ValueError, match=r"other settings \(data\)"):
            train(new(small_data.graph), data, epochs=1, checkpoint=path, resume=True)


# ------------------------------------------------------------------------ mixed precision


def test_bfloat16_stays_near_float32_and_within_the_networks(small_data):
    plain, mixed = new(small_data.graph), new(small_data.graph)
    inner = []
    original = mixed.latent_map
    mixed.latent_map = lambda e: inner.append(e.dtype) or original(e)
    lowered = []
    mixed.encoder.head[-1].register_forward_hook(lambda *io: lowered.append(io[-1].dtype))
    expected = train(plain, small_data, batch_size=16)
    found = train(mixed, small_data, batch_size=16, mixed_precision="bf16")
    assert set(inner) == {torch.float32}
    assert set(lowered) == {torch.bfloat16}
    assert all(
        p.dtype == torch.float32 for p in mixed.state_dict().values() if p.is_floating_point()
    )
    for term in ("reconstruction", "total"):
        one, other = found.train[-1][term], expected.train[-1][term]
        assert one != other and one == pytest.approx(other, rel=0.05)
    lowered.clear()
    assert mixed.factors(small_data.images).dtype == torch.float32
    assert set(lowered) == {torch.float32}  # only the training was in bfloat16


def test_automatic_precision_on_a_cpu_is_float32(small_data):
    models = [new(small_data.graph) for _ in range(2)]
    for model, precision in zip(models, ("no", "auto"), strict=True):
        train(model, small_data, epochs=1, mixed_precision=precision)
    assert same_state(*models)


# -------------------------------------------------------- data larger than the memory


@pytest.mark.skipif(sys.platform != "linux", reason="limits and reads Linux's memory counters")
def test_a_memory_map_larger_than_the_memory_is_trained_on(tmp_path):
    allowed = 220
    done = python(HELPERS / "big_data.py", tmp_path, allowed)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout.splitlines()[-1])
    assert report["file"] > 1.6 * allowed
    assert math.isfinite(report["total"]) and report["rows"] == 1999
    assert not report["copy"]  # the limit does bind: the pictures alone would not fit


def test_a_read_only_map_is_taken_without_a_copy_or_a_warning(tmp_path, recwarn, small_data):
    path = tmp_path / "pictures.npy"
    np.save(path, small_data.images.numpy())
    images = np.load(path, mmap_mode="r")
    data = FactorDataset(images, small_data.factors, small_data.graph)
    for part in (data, data.with_factors(data.factors), data.rows(slice(5, 9))):
        assert np.shares_memory(part.images.numpy(), images)
    mapped, held = new(small_data.graph), new(small_data.graph)
    train(mapped, data, epochs=1)
    train(held, small_data, epochs=1)
    assert same_state(mapped, held)
    assert not [w for w in recwarn if "not writable" in str(w.message)]


def test_rows_in_a_row_are_a_view_and_others_a_copy(small_data):
    pixels, mask = small_data.images.numpy(), torch.zeros(64, dtype=torch.bool)
    mask[5:9] = True
    runs = (slice(5, 9), range(5, 9), [5, 6, 7, 8], torch.arange(5, 9), mask, mask.numpy())
    for rows in runs:
        part = small_data.rows(rows)
        assert np.shares_memory(part.images.numpy(), pixels)
        assert torch.equal(part.factors, small_data.factors[5:9])
    assert torch.equal(small_data.rows([0]).images, small_data.images[:1])
    for rows in ([5, 7], [6, 5], [5, 5], [-2, -1, 0]):
        part = small_data.rows(rows)
        assert not np.shares_memory(part.images.numpy(), pixels)
        assert torch.equal(part.images, small_data.images[rows])
    assert len(small_data.rows([])) == len(small_data.rows(~mask & mask)) == 0
    for wrong in ([62, 63, 64], torch.ones(5, dtype=torch.bool)):
        with pytest.raises(IndexError):
            small_data.rows(wrong)


def test_float_pictures_become_bytes_in_parts(monkeypatch, small_data, pictures):
    whole = FactorDataset(pictures(64), small_data.factors, small_data.graph).images
    monkeypatch.setattr(data_module, "ROWS_AT_A_TIME", 5)
    parts = FactorDataset(pictures(64), small_data.factors, small_data.graph).images
    assert torch.equal(whole, parts)
    images = pictures(64)
    images[-1, 0, 0, 0] = 1.5
    with pytest.raises(ValueError, match=r"to 1\.5"):
        FactorDataset(images, small_data.factors, small_data.graph)


def test_large_pictures_go_through_in_smaller_batches(small_data, monkeypatch):
    assert answers.inference_batch((3, 64, 64)) == answers.inference_batch((1, 28, 28)) == 512
    assert answers.inference_batch((3, 256, 256)) == 32
    histories = [train(new(small_data.graph), small_data, validation=0.3)]
    sizes, model = [], new(small_data.graph)
    original = model.proposal
    model.proposal = lambda images: (
        sizes.append((model.training, len(images))) or original(images)
    )
    monkeypatch.setattr(training, "inference_batch", lambda shape: 4)
    histories.append(train(model, small_data, validation=0.3))
    assert max(size for training, size in sizes if not training) == 4
    for term in ("reconstruction", "kl"):  # the label terms are means of their batches' labels
        one, other = (h.validation[-1][term] for h in histories)
        assert one == pytest.approx(other, rel=0.02)
    assert histories[0].train == histories[1].train


def test_the_end_of_training_looks_at_a_bounded_number_of_rows(small_data, monkeypatch):
    left = (small_data.factors[:, :1] > 0).float()
    data = FactorDataset(
        small_data.images, torch.cat([left, small_data.factors[:, 1:]], 1), small_data.graph,
        kinds={"pendulum_angle": "binary"},
    )  # fmt: skip
    some = data.rows(torch.arange(0, 64, 4))
    for model in (new(data.graph, extra_dims=2), VAE(data.graph, SHAPE)):
        model.adopt_units(data)
        before = copy.deepcopy(model)
        with monkeypatch.context() as patch:
            patch.setattr(factor_vae, "MATCHING_ROWS", 16)
            model.conclude(data)
        expected = copy.deepcopy(before)
        expected.conclude(some)
        assert same_state(model, expected) and not same_state(model, before)


# ------------------------------------------------------------------------ the command line


@pytest.fixture
def tiny(monkeypatch, small_data):
    """The command's data without drawing 5,481 pictures."""
    monkeypatch.setattr(command, "load_data", lambda *args: small_data)
    return ["--epochs", "2", "--batch-size", "10", "--device", "cpu"]


def test_the_command_trains_saves_and_resumes(tiny, tmp_path, capsys, small_data):
    out, checkpoint = tmp_path / "model.safetensors", tmp_path / "run.safetensors"
    arguments = [*tiny, "--out", str(out), "--checkpoint", str(checkpoint), "--seed", "3"]
    arguments += ["--label-fraction", "0.5", "--extra-dims", "1", "--prior", "label"]
    assert command.main(arguments) == 0
    printed = capsys.readouterr().out
    assert "1 process(es) on cpu" in printed and "History(2 epochs" in printed
    torch.manual_seed(3)
    expected = CauFVAE(small_data.graph, SHAPE, prior="label", extra_dims=1)
    history = train(expected, small_data, batch_size=10, seed=3, label_fraction=0.5)
    assert same_state(load(out), expected)
    assert json.loads((tmp_path / "model.history.json").read_text())["train"] == history.train
    assert command.main([*arguments, "--resume"]) == 0
    assert same_state(load(out), expected)


def test_the_first_ctrl_c_asks_and_the_second_interrupts():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), command._signals() as asked:
        assert not asked()
        os.kill(os.getpid(), signal.SIGINT)
        assert asked()
        os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_signal_writes_the_checkpoint_and_says_how_to_go_on(
    tiny, tmp_path, capsys, monkeypatch
):
    out, checkpoint = tmp_path / "model.safetensors", tmp_path / "run.safetensors"
    arguments = [*tiny, "--out", str(out), "--checkpoint", str(checkpoint)]
    before, steps, original = signal.getsignal(signal.SIGTERM), [], Team.backward

    def preempted(*args):
        steps.append(1)
        if len(steps) == 8:
            for _ in range(2):  # a launcher passes on what was sent to all
                os.kill(os.getpid(), signal.SIGTERM)
        return original(*args)

    with monkeypatch.context() as patch:
        patch.setattr(Team, "backward", preempted)
        assert command.main(arguments) == 143
    message = capsys.readouterr().err
    assert "step 2 of 6 in epoch 2 of 2" in message and "--resume" in message
    assert not out.exists() and signal.getsignal(signal.SIGTERM) is before
    assert command.main([*arguments, "--resume"]) == 0
    whole = tmp_path / "whole.safetensors"
    assert command.main([*tiny, "--out", str(whole)]) == 0
    assert same_state(load(out), load(whole))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--data", "celeba"], "needs --root"),
        (["--data", "digits", "--image-size", "64"], "size of their own"),
        (["--image-size", "4"], "8 pixels"),
        (["--out", "model.bin"], "must end in .safetensors"),
        (["--checkpoint", "model.safetensors"], "name another than --out"),
        (["--expect-processes", "2"], "2 processes were expected, and this run has 1"),
        (["--device", "nonsense"], "nonsense"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(arguments, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert command.main(arguments) == 2
    assert message in capsys.readouterr().err


def test_unknown_data_and_options_are_named_beside_those_there_are(capsys):
    with pytest.raises(SystemExit):
        command.main(["--data", "faces"])
    assert "choose from" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"'faces' is not one of .*'pendulum'"):
        command.train("faces")
    with pytest.raises(TypeError, match=r"no option learning_rate; it has .*'lr'"):
        command.train(learning_rate=0.1)


def test_every_world_of_the_command_has_pictures():
    for name in ("pendulum-noisy", "water"):
        data = command.load_data(argparse.Namespace(data=name, image_size=16))
        assert data.images.shape[1:] == SHAPE


# ----------------------------------------------------------------------------------- a GPU


@NEEDS_GPU
def test_a_gpu_trains_resumes_and_answers(small_data, tmp_path):
    path = tmp_path / "run.safetensors"
    options = {"device": "cuda", "mixed_precision": "auto", "batch_size": 10, "accumulate": 2}
    asked = []
    with pytest.raises(TrainingStopped):
        train(
            new(small_data.graph), small_data, **options, checkpoint=path,
            stop=lambda: asked.append(1) or len(asked) == 8,
        )  # fmt: skip
    model = new(small_data.graph, seed=9)
    found = train(model, small_data, **options, checkpoint=path, resume=True)
    assert found.device.startswith("cuda") and model.mean.is_cuda
    assert math.isfinite(found.best_loss)
    imagined = model.counterfactual(small_data.images[:5], {"light_angle": 100.0})
    assert imagined.images.is_cuda and torch.isfinite(imagined.images).all()
    alone = new(small_data.graph)
    expected = train(alone, small_data, batch_size=10)
    assert found.train[-1]["total"] == pytest.approx(expected.train[-1]["total"], rel=0.05)
