"""The convolutional encoder and decoder that every model shares.

Both work on a grid of about 16 × 16 patches, whatever the picture's size: the encoder
folds each patch's pixels into channels (`pixel_unshuffle`), the decoder unfolds channels
into pixels. Convolutions then cost the same for 28 and for 96 pixels, which is what lets
a laptop train in under a minute.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Decoder", "Encoder", "ImageShape", "check_image_shape", "choose_device"]

ImageShape = tuple[int, int, int]

SMALLEST, LARGEST = 16, 256


def choose_device(device: str | torch.device = "auto") -> torch.device:
    """``"auto"`` is the GPU where there is one; a device that is not there is an error."""
    if str(device) == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    chosen = torch.device(device)
    if chosen.type == "cuda" and not torch.cuda.is_available():
        raise RuntimeError(
            f"Device {str(device)!r} was asked for, but PyTorch sees no CUDA GPU here. "
            'Use device="cpu" or "auto", or install a CUDA build of PyTorch.'
        )
    return chosen


def patch_size(height: int, width: int) -> int:
    """Side of a patch in pixels, so that the longer side holds about 16 of them."""
    return max(1, round(max(height, width) / 16))


def check_image_shape(image_shape: ImageShape) -> ImageShape:
    """``(c, h, w)`` as integers, or a ValueError that says what is wrong."""
    shape = tuple(int(s) for s in image_shape)
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(
            f"image_shape must be (channels, height, width) with 1 or 3 channels, "
            f"got {tuple(image_shape)}."
        )
    if not all(SMALLEST <= side <= LARGEST for side in shape[1:]):
        raise ValueError(
            f"height and width must be {SMALLEST} to {LARGEST} pixels, got {shape[1:]}; "
            "resize the pictures first."
        )
    return shape


def _padded(side: int, patch: int) -> int:
    """The next multiple of four patches, since both networks halve the grid twice."""
    step = 4 * patch
    return -(-side // step) * step


# PyTorch's own pixel_unshuffle, and the gradient of pixel_shuffle, return a wrong shape for no
# picture at all (seen in 2.13). An empty batch is a fair question and gets an empty answer.


def _fold(images: Tensor, patch: int) -> Tensor:
    """Each patch's pixels as channels: ``(n, c p², h/p, w/p)``."""
    n, c, h, w = images.shape
    if n == 0:
        return images.reshape(0, c * patch**2, h // patch, w // patch)
    return F.pixel_unshuffle(images, patch)


def _unfold(patches: Tensor, patch: int) -> Tensor:
    """The inverse of `_fold`."""
    n, c, h, w = patches.shape
    if n == 0:
        return patches.reshape(0, c // patch**2, h * patch, w * patch)
    return F.pixel_shuffle(patches, patch)


class Encoder(nn.Module):
    """Images ``(n, c, h, w)`` in [0, 1] → ``(n, outputs)``.

    A linear shortcut from the thumbnail (each patch's mean) runs beside the convolutions:
    sizes and places are nearly linear in it, and so are found in the first epochs.
    """

    def __init__(self, image_shape: ImageShape, outputs: int, width: int = 32):
        super().__init__()
        c, h, w = check_image_shape(image_shape)
        self.patch = patch_size(h, w)
        rows, cols = _padded(h, self.patch), _padded(w, self.patch)
        self.padding = (0, cols - w, 0, rows - h)
        grid = rows // self.patch * (cols // self.patch)
        self.convolutions = nn.Sequential(
            nn.Conv2d(c * self.patch**2, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * width, 2 * width, 3, stride=2, padding=1),
            nn.SiLU(),
        )
        self.head = nn.Sequential(
            nn.Linear(2 * width * grid // 16, 4 * width),
            nn.SiLU(),
            nn.Linear(4 * width, outputs),
        )
        self.shortcut = nn.Linear(c * grid, outputs)
        nn.init.zeros_(self.shortcut.weight)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        images = 1 - images  # a white background becomes zeros, and shapes stand out
        if any(self.padding):
            images = F.pad(images, self.padding, mode="replicate")
        patches = _fold(images, self.patch)
        patches = patches.contiguous(memory_format=torch.channels_last)
        thumbnail = F.avg_pool2d(images, self.patch).flatten(1)
        return self.head(self.convolutions(patches).flatten(1)) + self.shortcut(thumbnail)


class Decoder(nn.Module):
    """Latents ``(n, inputs)`` → logits ``(n, c, h, w)`` of the pixels."""

    def __init__(self, image_shape: ImageShape, inputs: int, width: int = 32):
        super().__init__()
        c, h, w = check_image_shape(image_shape)
        self.patch = patch_size(h, w)
        rows, cols = _padded(h, self.patch), _padded(w, self.patch)
        self.size = (h, w)
        self.start = (2 * width, rows // self.patch // 4, cols // self.patch // 4)
        cells = self.start[1] * self.start[2]
        self.head = nn.Sequential(
            nn.Linear(inputs, 4 * width),
            nn.SiLU(),
            nn.Linear(4 * width, 2 * width * cells),
            nn.SiLU(),
        )
        self.convolutions = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * width, width, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(width, c * self.patch**2, 3, padding=1),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, latents: Tensor) -> Tensor:
        hidden = self.head(latents).view(-1, *self.start)
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        logits = _unfold(self.convolutions(hidden), self.patch)
        return logits[..., : self.size[0], : self.size[1]]
