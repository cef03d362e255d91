"""The page without a kernel computes what PyTorch does: flow, decoder, laws and pictures."""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import playground
import pytest
import torch

import caufvae_lite as cl
from caufvae_lite.studies import core

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")
ASKED = 100
SHADE = 1 / 255

needs_node = pytest.mark.skipif(
    NODE is None, reason="there is no node (nodejs.org) here to run the page's JavaScript"
)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("playground")
    assert playground.main([str(folder)]) == 0
    return folder


def questions(name):
    """Random scenes, and for each a random intervention on one or two factors."""
    world = core.world_of(name)
    factors = world.sample(ASKED, seed=23).factors
    generator = np.random.default_rng(23)
    sets = []
    for _ in range(ASKED):
        chosen = generator.choice(4, size=generator.integers(1, 3), replace=False)
        ranges = [world.ranges[world.graph.nodes[i]] for i in chosen]
        values = [float(generator.uniform(*r)) for r in ranges]
        sets.append(dict(zip(map(int, chosen), values, strict=True)))
    return world, factors, sets


def one_by_one(answer, factors, nodes, sets):
    """Every row has an intervention of its own: ask row by row."""
    return torch.cat(
        [answer(factors[k : k + 1], {nodes[i]: v for i, v in do.items()})
         for k, do in enumerate(sets)]
    )  # fmt: skip


@needs_node
@pytest.mark.parametrize("name", core.SHIPPED)
def test_flow_decoder_laws_and_pictures_agree_with_pytorch(name, built):
    world, factors, sets = questions(name)
    model = cl.load_pretrained(name)
    noise = model.encode(world.render(factors)).mean.detach()

    asked = [
        {"noise": e.tolist(), "factors": u.tolist(), "set": do}
        for e, u, do in zip(noise, factors, sets, strict=True)
    ]
    command = [NODE, ROOT / "tests" / "site" / "answers.js", built / f"model-{name}.js", built]
    ran = subprocess.run(
        command,
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    answers = json.loads(ran.stdout)
    found = {key: torch.tensor([a[key] for a in answers]) for key in answers[0]}

    def imagined(own, do):
        set_to = {n: (v - model.mean[world.graph.index(n)]) / model.std[world.graph.index(n)]
                  for n, v in do.items()}  # fmt: skip
        return model.flow.do(own, set_to) * model.std + model.mean

    nodes = world.graph.nodes
    expected = one_by_one(imagined, noise, nodes, sets).detach()
    truth = one_by_one(world.counterfactual, factors, nodes, sets)
    assert torch.allclose(found["imagined"], expected, rtol=1e-4, atol=1e-4)
    assert torch.allclose(found["truth"], truth, rtol=1e-5, atol=1e-4)
    pictures = model.decode(expected).flatten(1)
    assert (found["picture"] - pictures).abs().max() <= SHADE
    assert (found["render"] - world.render(truth).flatten(1)).abs().max() <= SHADE / 5


def test_a_scene_keeps_the_noise_that_its_picture_holds(built):
    for name in core.SHIPPED:
        data = read(built / f"model-{name}.js")
        model, world = cl.load_pretrained(name), core.world_of(name)
        for scene in data["scenes"]:
            picture = world.render(torch.tensor([scene["factors"]]))
            noise = model.encode((picture * 255).round().to(torch.uint8)).mean[0]
            assert torch.allclose(noise, torch.tensor(scene["noise"]), atol=1e-4)


def read(path):
    return json.loads(path.read_text().partition(" = ")[2].rstrip().rstrip(";"))


def test_the_page_is_one_small_file_that_asks_for_nothing(built):
    page = (built / "playground.html").read_text()
    assert len(page) < 3_000_000
    assert "SCRIPTS" not in page and "/* STYLE */" not in page
    for outside in ('src="http', 'href="http', "url(http", "import(", "fetch("):
        assert outside not in page
    for name in core.SHIPPED:
        assert (built / f"model-{name}.js").stat().st_size <= playground.LARGEST
