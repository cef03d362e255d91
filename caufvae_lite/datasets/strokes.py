r"""Real pen strokes that can be drawn again, thicker or thinner.

From a picture of handwriting two distances are kept for every point of a fine grid: to the
stroke's *edge*, negative inside, and to its *spine*, the thin line that is left when the
stroke is thinned to one pixel (`skimage.morphology.skeletonize`). A stroke that is thicker by
Δ pixels is then::

    {edge ≤ Δ / 2}  ∪  {spine ≤ FINEST / 2}

For Δ > 0 the first set is a dilation by a disc, and for Δ < 0 an erosion. An erosion alone
would break a stroke where it is thin. The second set keeps its spine, so however thin the pen,
the pieces and the loops of the digit stay.

The idea of thickening real digits is Morpho-MNIST's (Castro et al., JMLR 2019), which dilates
or erodes by whole pixels of a picture four times as fine. Here Δ is any number, and it is
chosen for each digit so that the ruler of `morphology` reads the thickness that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from caufvae_lite.datasets import morphology

FINE = 3  # points of the grid along a pixel's side
STEPS, FARTHEST = 32, 127 / 32  # of a stored distance: steps a pixel, and its largest
FINEST = 0.75  # pixels: how thin a spine is drawn
HALF = 0.5  # of the grey value: where the stroke's edge is
CORRECTIONS = 2  # of Δ, each by the error that the ruler finds
WHITENINGS = 2  # each clips the brightest pixels, which lowers the grey value a little
DRAWN_AT_ONCE = 512  # pictures, so that the fine grids stay small


@dataclass(frozen=True)
class Strokes:
    """The strokes of n pictures.

    ``edge`` and ``spine`` are ``(n, FINE · h, FINE · w)`` distances, stored as bytes in steps
    of 1/32 pixel. ``thickness`` ``(n,)`` is what the ruler reads off the strokes as written.
    """

    edge: Tensor
    spine: Tensor
    thickness: Tensor

    @classmethod
    def of(cls, pictures: Tensor) -> Strokes:
        """The strokes of grey ``(n, 1, h, w)`` pictures in [0, 1], bright on dark."""
        try:
            from skimage.morphology import skeletonize
        except ImportError as error:
            raise ImportError(
                "Thickening handwriting needs scikit-image, which is not installed: "
                'pip install "caufvae-lite[images]"'
            ) from error
        finer = F.interpolate(pictures, scale_factor=FINE, mode="bicubic")[:, 0]
        inside = (finer > HALF).numpy()
        edge = torch.stack([_stored(_to_edge(one)) for one in inside])
        spine = torch.stack([_stored(_distance(~skeletonize(one))) for one in inside])
        as_written = cls(edge, spine, torch.zeros(len(pictures)))
        return cls(edge, spine, _read(as_written.thicker(as_written.thickness)))

    def __len__(self) -> int:
        return len(self.thickness)

    def rows(self, index: Tensor | np.ndarray) -> Strokes:
        """The strokes of just these pictures; rows may be repeated."""
        return Strokes(self.edge[index], self.spine[index], self.thickness[index])

    def moved(self, degrees: Tensor, right: Tensor, up: Tensor) -> Strokes:
        """The strokes turned to the left and shifted by pixels, each ``(n,)``.

        Neither changes a distance, so the pen stays the same.
        """
        angle = torch.deg2rad(degrees)
        cos, sin = angle.cos(), angle.sin()
        half = self.edge.shape[-1] / FINE / 2  # of the picture's side, in pixels
        x, y = -right / half, up / half  # of where a point comes from, turned back below
        turn = torch.stack([cos, -sin, cos * x - sin * y, sin, cos, sin * x + cos * y], -1)
        grid = F.affine_grid(turn.view(-1, 2, 3), [len(self), 1, *self.edge.shape[1:]], False)
        parts = torch.stack([self.edge, self.spine], 1).float()
        found = F.grid_sample(parts, grid, padding_mode="border", align_corners=False)
        edge, spine = found.round().to(torch.int8).unbind(1)
        return Strokes(edge, spine, self.thickness)

    def thicker(self, change: Tensor) -> Tensor:
        """White strokes ``(n, 1, h, w)``, thicker by ``change`` ``(n,)`` pixels than written.

        A pixel is as bright as the share of it that the stroke covers. All is then scaled so
        that the grey value is 1: where a stroke is thin, its brightest pixels exceed that.
        """
        parts = torch.arange(len(change)).split(DRAWN_AT_ONCE)
        return torch.cat([self._thicker(part, change[part]) for part in parts])

    def of_thickness(self, thickness: Tensor) -> Tensor:
        """White strokes ``(n, 1, h, w)`` of which the ruler reads ``thickness`` ``(n,)``.

        Where a thick pen fills a loop, the ruler sees a blot and may read more.
        """
        change = thickness - self.thickness
        for _ in range(CORRECTIONS):
            error = _read(self.thicker(change)) - thickness
            change = change - error
        return self.thicker(change)

    def _thicker(self, rows: Tensor, change: Tensor) -> Tensor:
        edge, spine = (part[rows].float() / STEPS for part in (self.edge, self.spine))
        outside = torch.minimum(edge - change.view(-1, 1, 1) / 2, spine - FINEST / 2)
        covered = (0.5 - outside * FINE).clamp(0, 1)  # of each fine point
        white = F.avg_pool2d(covered.unsqueeze(1), FINE)
        for _ in range(WHITENINGS):
            grey = morphology.grey_value(white[:, 0].clamp(max=1.0).double()).to(white)
            white = white.clamp(max=1.0) / grey.view(-1, 1, 1, 1)
        return white


def _read(white: Tensor) -> Tensor:
    """The thickness ``(n,)`` of white strokes; no scale changes it."""
    return morphology.measure(white / white.max())[:, 0]


def _stored(distance: Tensor) -> Tensor:
    return (distance.clamp(-FARTHEST, FARTHEST) * STEPS).round().to(torch.int8)


def _distance(points: np.ndarray) -> Tensor:
    """Distance in pixels of every point to the nearest that is not among ``points``."""
    return torch.from_numpy(ndimage.distance_transform_edt(points) / FINE).float()


def _to_edge(inside: np.ndarray) -> Tensor:
    """Signed distance to the edge, half-way between a point inside and one outside."""
    half = 0.5 / FINE
    signed = torch.where(
        torch.from_numpy(inside), half - _distance(inside), _distance(~inside) - half
    )
    return signed
