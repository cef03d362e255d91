import math

import numpy as np
import pytest
import torch

from caufvae_lite import CausalGraph, FactorDataset

GRAPH = CausalGraph(["cause", "other", "effect"], [("cause", "effect"), ("other", "effect")])


def dataset(n=10, images=None, factors=None, **options):
    if images is None:
        images = torch.rand(n, 1, 5, 4, generator=torch.Generator().manual_seed(0))
    if factors is None:
        factors = torch.arange(3.0 * n).reshape(n, 3)
    return FactorDataset(images, factors, GRAPH, **options)


def test_float_images_are_stored_as_rounded_bytes():
    images = torch.tensor([0.0, 0.25, 1.0]).view(3, 1, 1, 1)
    stored = FactorDataset(images, torch.zeros(3, 3), GRAPH).images
    assert stored.dtype == torch.uint8
    assert stored.flatten().tolist() == [0, 64, 255]


def test_bytes_are_kept_as_they_are():
    images = np.arange(40, dtype=np.uint8).reshape(2, 1, 5, 4)
    assert np.array_equal(dataset(2, images).images, images)


def test_a_row_is_a_float_image_and_its_factors():
    image, factors = dataset()[3]
    assert image.shape == (1, 5, 4) and image.dtype == torch.float32
    assert image.max() <= 1
    assert factors.tolist() == [9.0, 10.0, 11.0]


def test_labels_may_be_missing():
    factors = torch.full((10, 3), math.nan)
    assert torch.isnan(dataset(factors=factors).factors).all()


def test_rows_takes_integers_and_masks():
    data = dataset(units={"cause": "m"})
    mask = torch.arange(10) % 2 == 1
    for rows in (mask, mask.numpy(), [1, 3, 5, 7, 9], torch.arange(1, 10, 2)):
        part = data.rows(rows)
        assert torch.equal(part.factors, data.factors[1::2])
        assert torch.equal(part.images, data.images[1::2])
        assert part.units == {"cause": "m", "other": "", "effect": ""}


def test_with_factors_keeps_the_pictures_and_the_kinds():
    data = dataset(factors=torch.ones(10, 3), kinds={"effect": "binary"})
    other = data.with_factors(torch.zeros(10, 3))
    assert torch.equal(other.images, data.images)
    assert other.factors.sum() == 0 and data.factors.sum() == 30
    assert other.kinds["effect"] == "binary" and other.kinds["cause"] == "continuous"


def test_block_split_tests_the_corner_where_every_root_is_high():
    steps = torch.linspace(0, 10, 11)
    roots = torch.cartesian_prod(steps, 2 * steps)
    factors = torch.cat([roots, torch.zeros(121, 1)], 1)
    train, test = dataset(121, factors=factors).split("block")
    corner = {(a, b) for a in (8.0, 9.0, 10.0) for b in (16.0, 18.0, 20.0)}
    assert {tuple(r) for r in test.factors[:, :2].tolist()} == corner
    assert len(train) == 121 - 9
    assert not corner & {tuple(r) for r in train.factors[:, :2].tolist()}


def test_published_split_tests_every_fourth_row():
    train, test = dataset().split("published")
    assert (test.factors[:, 0] / 3).tolist() == [3, 7]
    assert (train.factors[:, 0] / 3).tolist() == [0, 1, 2, 4, 5, 6, 8, 9]


def test_fraction_split_divides_the_rows_by_seed():
    data = dataset(50)
    train, test = data.split(0.2, seed=1)
    assert (len(train), len(test)) == (40, 10)
    together = torch.cat([train.factors, test.factors])[:, 0]
    assert torch.equal(together.sort().values, data.factors[:, 0])
    assert torch.equal(data.split(0.2, seed=1)[1].factors, test.factors)
    assert not torch.equal(data.split(0.2, seed=2)[1].factors, test.factors)


@pytest.mark.parametrize("how", ["zebra", 0, 1, 0.0, 1.0, -0.1, math.nan, True, None])
def test_unknown_splits_are_refused(how):
    with pytest.raises(ValueError, match="split"):
        dataset().split(how)


def test_binary_labels_are_zero_one_or_missing():
    factors = torch.tensor([[0.5, 0.5, 0.0], [1.5, 1.5, 1.0], [2.5, 2.5, math.nan]])
    data = dataset(3, factors=factors, kinds={"effect": "binary"})
    assert data.kinds["effect"] == "binary"
    with pytest.raises(ValueError, match="'cause' is binary"):
        dataset(3, factors=factors, kinds={"cause": "binary"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"factors": torch.zeros(10, 2)}, r"\(10, 3\).*\(10, 2\)"),
        ({"factors": torch.zeros(9, 3)}, r"\(10, 3\).*\(9, 3\)"),
        ({"factors": torch.full((10, 3), math.inf)}, "infinite"),
        ({"images": torch.zeros(10, 5, 4)}, r"\(n, c, h, w\)"),
        ({"images": torch.full((10, 1, 5, 4), 1.5)}, r"\[0, 1\].*1\.5"),
        ({"images": torch.full((10, 1, 5, 4), -0.5)}, r"\[0, 1\]"),
        ({"images": torch.full((10, 1, 5, 4), math.nan)}, "NaN"),
        ({"kinds": {"cause": "ternary"}}, "ternary"),
        ({"kinds": {"zebra": "binary"}}, "zebra"),
        ({"units": {"zebra": "m"}}, "zebra"),
    ],
)
def test_what_does_not_fit_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        dataset(**options)


def test_integer_images_that_are_not_bytes_are_refused():
    with pytest.raises(TypeError, match="int64"):
        dataset(images=torch.zeros(10, 1, 5, 4, dtype=torch.int64))
