"""The convolutional encoder and decoder that every model shares.

Both work on a grid of about 16 × 16 patches, whatever the picture's size: the encoder folds
each patch's pixels into channels, and the decoder unfolds channels into pixels. So convolutions
cost the same for 28 and for 96 pixels, and a laptop trains in under a minute.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Decoder", "Encoder", "ImageShape", "check_image_shape", "choose_device"]

ImageShape = tuple[int, int, int]
SMALLEST, LARGEST = 16, 256  # sides of a picture, in pixels
WIDTH = 32  # channels of the finest convolutions


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


def check_image_shape(image_shape: ImageShape) -> ImageShape:
    """``(c, h, w)`` as integers, or a ValueError that says what is wrong."""
    shape = tuple(int(s) for s in image_shape)
    if len(shape) != 3 or shape[0] not in (1, 3):
        raise ValueError(f"image_shape must be (1 or 3 channels, height, width), got {shape}.")
    if not all(SMALLEST <= side <= LARGEST for side in shape[1:]):
        raise ValueError(
            f"height and width must be {SMALLEST} to {LARGEST} pixels, got {shape[1:]}; "
            "resize the pictures first."
        )
    return shape


def patch_grid(height: int, width: int) -> tuple[int, int, int]:
    """Side of a patch in pixels, and the rows and columns of patches that hold a picture.

    The longer side holds about 16 patches. Rows and columns are multiples of four, since both
    networks halve the grid twice.
    """
    patch = max(1, round(max(height, width) / 16))
    rows, cols = (4 * -(-side // (4 * patch)) for side in (height, width))
    return patch, rows, cols


# For no picture at all both networks ask for one and return none of it: PyTorch's own
# pixel_unshuffle, and the gradient of pixel_shuffle, return a wrong shape then (seen in 2.13).


class Encoder(nn.Module):
    """Images ``(n, c, h, w)`` in [0, 1] → ``(n, outputs)``.

    A linear shortcut from the thumbnail (each patch's mean) runs beside the convolutions:
    sizes and places are nearly linear in it, and so are found in the first epochs.
    """

    def __init__(self, image_shape: ImageShape, outputs: int):
        super().__init__()
        c, h, w = check_image_shape(image_shape)
        self.patch, rows, cols = patch_grid(h, w)
        self.padding = (0, cols * self.patch - w, 0, rows * self.patch - h)
        self.convolutions = nn.Sequential(
            nn.Conv2d(c * self.patch**2, WIDTH, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(WIDTH, 2 * WIDTH, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, stride=2, padding=1),
            nn.SiLU(),
        )
        self.head = nn.Sequential(
            nn.Linear(2 * WIDTH * rows * cols // 16, 4 * WIDTH),
            nn.SiLU(),
            nn.Linear(4 * WIDTH, outputs),
        )
        self.shortcut = nn.Linear(c * rows * cols, outputs)
        nn.init.zeros_(self.shortcut.weight)
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor) -> Tensor:
        if len(images) == 0:
            return self(images.new_zeros(1, *images.shape[1:]))[:0]
        images = 1 - images  # a white background becomes zeros, and shapes stand out
        if any(self.padding):
            images = F.pad(images, self.padding, mode="replicate")
        patches = F.pixel_unshuffle(images, self.patch)
        patches = patches.contiguous(memory_format=torch.channels_last)
        thumbnail = F.avg_pool2d(images, self.patch).flatten(1)
        return self.head(self.convolutions(patches).flatten(1)) + self.shortcut(thumbnail)


class Decoder(nn.Module):
    """Latents ``(n, inputs)`` → logits ``(n, c, h, w)`` of the pixels."""

    def __init__(self, image_shape: ImageShape, inputs: int):
        super().__init__()
        c, *self.size = check_image_shape(image_shape)
        self.patch, rows, cols = patch_grid(*self.size)
        self.start = (2 * WIDTH, rows // 4, cols // 4)
        self.head = nn.Sequential(
            nn.Linear(inputs, 4 * WIDTH),
            nn.SiLU(),
            nn.Linear(4 * WIDTH, 2 * WIDTH * rows * cols // 16),
            nn.SiLU(),
        )
        self.convolutions = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * WIDTH, 2 * WIDTH, 3, padding=1),
            nn.SiLU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(2 * WIDTH, WIDTH, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(WIDTH, c * self.patch**2, 3, padding=1),
        )
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, latents: Tensor) -> Tensor:
        if len(latents) == 0:
            return self(latents.new_zeros(1, *latents.shape[1:]))[:0]
        hidden = self.head(latents).view(-1, *self.start)
        hidden = hidden.contiguous(memory_format=torch.channels_last)
        logits = F.pixel_shuffle(self.convolutions(hidden), self.patch)
        return logits[..., : self.size[0], : self.size[1]]
