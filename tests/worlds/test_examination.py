"""The examination gives full marks to the truth, and sees each way of being wrong."""

from dataclasses import dataclass

import pytest
import torch

from caufvae_lite import Decoded, FactorDataset, Pendulum, Water
from caufvae_lite.data import as_float
from caufvae_lite.worlds import StructuralWorld, examination

WORLD = Pendulum(image_size=32, noise=1.0)
WATER = Water(image_size=64)
CAUSES = ["pendulum_angle", "light_angle"]


@dataclass
class Oracle:
    """Answers with the truth, looked up row by row; ``wrong`` spoils the factors it draws."""

    data: FactorDataset
    wrong: dict[str, float]
    deaf: bool = False  # does it ignore do()?
    world: StructuralWorld = WORLD

    @property
    def graph(self):
        return self.data.graph

    def factors(self, images):
        return self.data.factors

    def reconstruct(self, images):
        return as_float(images)

    def counterfactual(self, images, do):
        truth = self.world.counterfactual(self.data.factors, {} if self.deaf else do)
        drawn = truth.clone()
        for name, shift in self.wrong.items():
            drawn[:, self.graph.index(name)] += shift
        return Decoded(self.world.render(drawn), truth)

    def intervention(self, images, do, seed=None):
        """The same causes, set anew, with another scene's noise."""
        shuffled = self.data.factors[torch.randperm(len(images))]
        own = shuffled[:, 1:2] - self.world.law(shuffled)[:, :1]  # water's height
        factors = self.data.factors.clone()
        factors[:, 1:2] = self.world.law(factors)[:, :1] + own
        truth = self.world.counterfactual(factors, do)
        return Decoded(self.world.render(truth), truth)


@pytest.fixture(scope="module")
def data():
    sample = WORLD.sample(300, seed=0)
    return sample.rows(WORLD.in_frame(sample.factors))


def values(scores):
    return {(score.cause, score.measure, score.factor): score.value for score in scores}


def by_measure(scores, *measures):
    return [score.value for score in scores if score.measure in measures]


def scores_of(model, data):
    """do(light), and the shadow's length set alone."""
    exam = examination.Examination(model, WORLD, data)
    return exam.set_causes(["light_angle"]) + exam.set_effect("shadow_length")


def test_the_truth_gets_full_marks(data):
    scores = scores_of(Oracle(data, {}), data)
    assert min(by_measure(scores, "latent r2", "image r2")) > 0.998
    assert max(by_measure(scores, "drift", "in support drift")) < 0.02
    assert set(by_measure(scores, "missing")) == {0}
    found = values(scores)
    assert found["light_angle", "psnr", ""] > 60 > found["light_angle", "psnr copy", ""]


def test_ignoring_the_intervention_fails(data):
    scores = values(scores_of(Oracle(data, {}, deaf=True), data))
    assert scores["light_angle", "latent r2", "shadow_position"] < 0.5
    assert scores["light_angle", "image r2", "light_angle"] < 0.5
    assert scores["shadow_length", "image r2", "shadow_length"] < 0.5


def test_leakage_into_a_bystander_is_seen_in_standard_deviations(data):
    shift = 5.0
    scores = values(scores_of(Oracle(data, {"pendulum_angle": shift}), data))
    expected = shift / data.factors[:, 0].std().item()
    for intervention in ("light_angle", "shadow_length"):
        found = scores[intervention, "drift", "pendulum_angle"]
        assert found == pytest.approx(expected, rel=0.05)


def test_drawing_the_wrong_effect_is_seen_in_the_picture_only(data):
    scores = values(scores_of(Oracle(data, {"shadow_length": 2.0}), data))
    assert scores["light_angle", "latent r2", "shadow_length"] > 0.999
    assert scores["light_angle", "image r2", "shadow_length"] < 0.9


def test_values_to_set_are_the_rows_own_shuffled_independently(data):
    do = examination.permuted_values(data, CAUSES, seed=0)
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


# ----------------------------------------------------- a world whose graph is a chain: water


@pytest.fixture(scope="module")
def of_water():
    """The scores of an oracle of water, and the rows it was asked about."""
    data = WATER.sample(300, seed=0)
    return examination.examine(Oracle(data, {}, world=WATER), WATER, data), data


def test_every_question_of_a_chain_is_asked_and_the_truth_passes(of_water):
    scores, _ = of_water
    both = "ball_radius+hole_height"
    assert {score.cause for score in scores} == {*WATER.graph.nodes, both, ""}
    effects = {(score.cause, score.factor) for score in scores if score.measure == "latent r2"}
    assert effects == {
        ("ball_radius", "water_height"), ("ball_radius", "reach"), ("water_height", "reach"),
        ("hole_height", "reach"), (both, "water_height"), (both, "reach"),
    }  # fmt: skip
    assert min(by_measure(scores, "r2", "latent r2", "image r2")) > 0.98
    assert max(by_measure(scores, "drift", "in support drift")) < 0.1
    assert len(set(values(scores))) == len(scores)


def test_what_noise_is_worth_is_asked_where_noise_lies_downstream(of_water):
    kept = {(s.cause, s.factor): s.value for s in of_water[0] if s.measure == "noise kept"}
    causes, effects = ("ball_radius", "ball_radius+hole_height"), ("water_height", "reach")
    assert set(kept) == {(cause, effect) for cause in causes for effect in effects}
    assert max(kept.values()) < 1e-3  # the oracle keeps it


def test_support_is_told_for_noisy_effects_alone(of_water):
    scores, data = of_water
    (share,) = (score for score in scores if score.measure == "in support")
    assert share.cause == "water_height"
    do = examination.permuted_values(data, ["water_height"], 0)["water_height"]
    own = do - data.factors[:, 0] ** 3
    expected = ((own >= 1.0) & (own <= 3.9)).float().mean().item()
    assert share.value == pytest.approx(expected, abs=0.01)
    assert 0.3 < expected < 0.95
