"""The examination gives full marks to the truth, and sees each way of being wrong."""

from dataclasses import dataclass

import pytest
import torch

from caufvae_lite import Decoded, FactorDataset, Pendulum, evaluation
from caufvae_lite.data import as_float

WORLD = Pendulum(image_size=32, noise=1.0)
CAUSES = ["pendulum_angle", "light_angle"]


@dataclass
class Oracle:
    """Answers with the truth, looked up row by row; ``wrong`` spoils the factors it draws."""

    data: FactorDataset
    wrong: dict[str, float]
    deaf: bool = False  # does it ignore do()?

    @property
    def graph(self):
        return self.data.graph

    def factors(self, images):
        return self.data.factors

    def reconstruct(self, images):
        return as_float(images)

    def counterfactual(self, images, do):
        truth = WORLD.counterfactual(self.data.factors, {} if self.deaf else do)
        drawn = truth.clone()
        for name, shift in self.wrong.items():
            drawn[:, self.graph.index(name)] += shift
        return Decoded(WORLD.render(drawn), truth)


@pytest.fixture(scope="module")
def data():
    sample = WORLD.sample(300, seed=0)
    return sample.rows(WORLD.in_frame(sample.factors))


def scores_of(model, data):
    found = evaluation.effects_of_causes(model, WORLD, data, ["light_angle"])
    return found | evaluation.effect_set_alone(model, WORLD, data, "shadow_length")


def test_the_truth_gets_full_marks(data):
    scores = scores_of(Oracle(data, {}), data)
    for name, value in scores.items():
        if "r2" in name:
            assert value > 0.998, name
        elif "drift" in name:
            assert value < 0.02, name
        elif "missing" in name:
            assert value == 0, name
    assert scores["do(light_angle) psnr"] > 60 > scores["do(light_angle) psnr/copy"]


def test_ignoring_the_intervention_fails(data):
    scores = scores_of(Oracle(data, {}, deaf=True), data)
    assert scores["do(light_angle) latent r2/shadow_position"] < 0.5
    assert scores["do(light_angle) image r2/light_angle"] < 0.5
    assert scores["do(shadow_length) image r2/shadow_length"] < 0.5


def test_leakage_into_a_bystander_is_seen_in_standard_deviations(data):
    shift = 5.0
    scores = scores_of(Oracle(data, {"pendulum_angle": shift}), data)
    expected = shift / data.factors[:, 0].std().item()
    for intervention in ("light_angle", "shadow_length"):
        found = scores[f"do({intervention}) drift/pendulum_angle"]
        assert found == pytest.approx(expected, rel=0.05)


def test_drawing_the_wrong_effect_is_seen_in_the_picture_only(data):
    scores = scores_of(Oracle(data, {"shadow_length": 2.0}), data)
    assert scores["do(light_angle) latent r2/shadow_length"] > 0.999
    assert scores["do(light_angle) image r2/shadow_length"] < 0.9


def test_values_to_set_are_the_rows_own_shuffled_independently(data):
    do = evaluation.permuted_values(data, CAUSES, seed=0)
    for i, name in enumerate(CAUSES):
        assert torch.equal(do[name].sort().values, data.factors[:, i].sort().values)
    together = torch.corrcoef(torch.stack([do[CAUSES[0]], data.factors[:, 0]]))[0, 1]
    assert abs(together) < 0.25


def test_a_sun_painted_red_is_not_read_as_the_ball(data):
    images = as_float(data.images[:20]).clone()
    sky = images[:, :, :8]
    orange = (sky[:, 0] > 0.9) & (sky[:, 2] < 0.1)
    sky[:, 1][orange] = 0.1
    sky[:, 0][orange] = 0.7
    angles = WORLD.measure(images)[:, 0]
    assert (angles - data.factors[:20, 0]).abs().max() < 1
