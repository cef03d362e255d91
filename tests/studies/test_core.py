"""The core study: its runs, its worlds, and the stored table."""

import pytest
import torch

from caufvae_lite.studies import core


def test_the_runs_cover_all_switches_on_both_pendulums():
    names = core.keys(range(5))
    for switches in core.SWITCHES:
        for world in ("pendulum", "pendulum-noisy"):
            assert all((switches, world, seed) in names for seed in range(5))
    for world, model in core.SHIPPED.items():
        assert all((model, world, seed) in names for seed in range(5))


def test_block_split_holds_out_a_corner():
    _, train, test = core.data_of("pendulum-block", image_size=16)
    assert (test.factors[:, :2].amin(0) > train.factors[:, :2].quantile(0.5, 0)).all()


@pytest.mark.parametrize("name", ["pendulum", "pendulum-noisy", "pendulum-block", "water"])
def test_a_worlds_rows_are_split_without_loss(name):
    world, train, test = core.data_of(name, image_size=16)
    assert len(train) + len(test) == len(world.grid())
    assert train.images.shape[1:] == (3, 16, 16) and train.graph is world.graph


def test_models_are_built_for_their_world():
    model = core.build("SCM prior", 0, core.world_of("water", 16))
    again = core.build("SCM prior", 0, core.world_of("water", 16))
    assert model.graph.nodes == ("ball_radius", "water_height", "hole_height", "reach")
    assert all(map(torch.equal, model.state_dict().values(), again.state_dict().values()))


def test_unknown_world_is_named():
    with pytest.raises(ValueError, match="nowhere"):
        core.world_of("nowhere")


def test_a_model_that_the_study_lacks_is_named():
    with pytest.raises(KeyError, match="nothing"):
        core.configuration(("nothing", "pendulum", 0))
