"""What a test asks of the first playground in a page, and what it should have drawn."""

import torch

import caufvae_lite as cl
from caufvae_lite.studies import core

SHADE = 1.5 / 255  # a step of the screen's bytes, and half a step of rounding

READ = """which => {
  const canvas = caufvae.playgrounds[0].canvas[which];
  return Array.from(canvas.getContext('2d').getImageData(0, 0, 64, 64).data);
}"""
FRAMES = "new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))"
STATE = """() => {
  const p = caufvae.playgrounds[0];
  const scene = p.data.scenes[p.scene];
  return {set: p.set, noise: scene.noise, factors: scene.factors, answer: p.answer};
}"""


def settle(page):
    """Until two frames were painted."""
    page.evaluate(FRAMES)


def pixels(page, which):
    values = torch.tensor(page.evaluate(READ, which)).view(64, 64, 4)
    return values[..., :3].permute(2, 0, 1) / 255


def assert_pictures_are_right(page, name):
    """What the page shows is what PyTorch and the world draw, for what is set."""
    model, world, state = cl.load_pretrained(name), core.world_of(name), page.evaluate(STATE)
    nodes = world.graph.nodes
    do = {nodes[int(i)]: value for i, value in state["set"].items()}
    standard = {n: (v - model.mean[nodes.index(n)]) / model.std[nodes.index(n)]
                for n, v in do.items()}  # fmt: skip
    factors = model.flow.do(torch.tensor([state["noise"]]), standard) * model.std + model.mean
    assert (pixels(page, "model") - model.decode(factors.detach())[0]).abs().max() <= SHADE
    truth = world.counterfactual(torch.tensor([state["factors"]]), do)
    assert (pixels(page, "truth") - world.render(truth)[0]).abs().max() <= SHADE
