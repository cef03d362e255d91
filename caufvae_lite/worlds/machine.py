r"""The machine: eight factors, five laws in a row, and causes that act only together.

A lever turns a gear, the gear lifts a piston, and the piston pumps water through a valve. The
water closes the contact of a lamp, if the power is on, and a meter shows how bright the lamp
is. In the scene's own axes (x and y from 0 to 20)::

    lever  ~ U[−40°, 40°]     valve ~ U[0.2, 1]     power: on or off, even odds
    gear   = 1.5 lever                     + 4 σ e₁      degrees
    piston = 3 + 2.5 sin(gear)             + σ e₂ / 4    axis units
    level  = 0.6 + valve · piston          + σ e₃ / 4    axis units
    lamp   = 0.15 + 0.75 power · L² / (L² + 6)  + 0.03 σ e₄      L = level; from dark to bright
    needle = −55 + 170 lamp²               + 4 σ e₅      degrees

e ~ N(0, I), and σ is `noise`: 1.5 in the machine that studies use. Piston, level and lamp count
as 0 where a law would read a negative one. The longest path has six factors. The level is a
*product* of valve and piston, and so is the lamp of power and what the level does: a sum of
functions, one for each cause, cannot express either.

Two options make it harder. ``hidden`` is the correlation of e₁ and e₅, as if a worn bearing
shook gear and needle alike. The graph does not know of it. ``guard`` puts a plate before the
right half of the gear: where its mark is hidden, only causes and effects tell its angle.
"""

import torch
from torch import Tensor

from caufvae_lite.data import FactorDataset
from caufvae_lite.graph import CausalGraph
from caufvae_lite.worlds import drawing
from caufvae_lite.worlds.base import Setting, StructuralWorld
from caufvae_lite.worlds.drawing import BLACK, FIREBRICK, ORANGE, SKY_BLUE, WHITE, Colour, Frame

ROWS = 8000  # of the data set that studies train and test on
SIDE = 20.0
FRAME = Frame(0.0, SIDE, 0.0, SIDE)
LINE = 0.4  # width of rods and walls
SPREAD = (4.0, 0.25, 0.25, 0.03, 4.0)  # of the effects' noise where σ = 1

LEVER, LEVER_LENGTH, KNOB = (3.6, 1.2), 4.2, 0.9  # hinge, and the ball at the end
GEAR, GEAR_RADIUS, MARK, MARK_AT = (10.0, 4.0), 2.6, 0.95, 1.5
PISTON, PISTON_FLOOR, HEAD, HEAD_HALF = 10.0, 8.0, 1.2, 1.3  # its middle, height, half width
CYLINDER = (8.4, 11.6, 7.0, 15.0)  # left, right, bottom, top
TANK = (14.0, 18.0, 1.0, 10.0)
VALVE, VALVE_FLOOR, VALVE_HEIGHT = (12.6, 13.4), 9.5, 3.0  # a gate as high as it is open
SWITCH, SWITCH_WAY = (2.4, 17.2), 2.2  # the knob's place when off, and how far on is
LAMP, LAMP_RADIUS, LAMP_MIDDLE = (9.4, 17.3), 1.9, 1.3  # the ruler reads the middle
METER, NEEDLE, TIP = (16.0, 14.2), 3.2, 0.7
GUARD = (10.0, 12.8, 1.2, 6.8)
FAINTEST = 0.25  # share of a shape's area that must be seen


class Machine(StructuralWorld):
    """The machine world, with the laws above; ``noise`` is σ.

    Args:
        image_size, noise: as for every world.
        hidden: correlation of the gear's and the needle's noise, from −1 to 1.
        guard: is the right half of the gear covered?
    """

    settings = {  # noqa: RUF012 - a ClassVar of the base
        "machine": Setting(noise=1.5)  # see data/README.md for why
    }

    def __init__(
        self,
        image_size: int = 64,
        noise: float = 0.0,
        hidden: float = 0.0,
        guard: bool = False,
    ):
        if not -1 <= hidden <= 1:
            raise ValueError(f"hidden is a correlation between −1 and 1, got {hidden}.")
        self.hidden, self.guard = float(hidden), bool(guard)
        ranges = {
            "lever": (-40.0, 40.0),
            "valve": (0.2, 1.0),
            "power": (0.0, 1.0),
            "gear": (-70.0, 70.0),
            "piston": (0.2, 5.8),
            "level": (0.3, 6.3),
            "lamp": (0.08, 0.85),
            "needle": (-62.0, 68.0),
        }
        lever, valve, power, gear, piston, level, lamp, needle = ranges
        edges = [(lever, gear), (gear, piston), (piston, level), (valve, level)]
        edges += [(level, lamp), (power, lamp), (lamp, needle)]
        units = dict.fromkeys((lever, gear, needle), "°")
        units |= dict.fromkeys((piston, level), "axis units")
        super().__init__(
            CausalGraph([*ranges], edges), ranges, units, image_size, noise, binary=[power]
        )
        usual = [(-3 * noise * s, 3 * noise * s) for s in SPREAD]
        self.noisy = dict(zip(self.effects, usual, strict=True)) if noise > 0 else {}

    def law(self, factors: Tensor) -> Tensor:
        """Gear, piston, level, lamp and needle ``(n, 5)``, as their causes imply them."""
        lever, valve, power, gear, piston, level, lamp, _ = factors.unbind(-1)
        squared = level.clamp_min(0).square()
        laws = (
            1.5 * lever,
            3 + 2.5 * torch.sin(torch.deg2rad(gear)),
            0.6 + valve * piston.clamp_min(0),
            0.15 + 0.75 * power * squared / (squared + 6),
            -55 + 170 * lamp.clamp_min(0).square(),
        )
        return torch.stack(laws, -1)

    def exogenous(self, factors: Tensor, generator: torch.Generator) -> Tensor:
        """σ e ``(n, 5)`` in each effect's own unit; the first and the last may go together."""
        e = torch.randn(len(factors), len(SPREAD), generator=generator)
        e[:, -1] = self.hidden * e[:, 0] + (1 - self.hidden**2) ** 0.5 * e[:, -1]
        return self.noise * e * torch.tensor(SPREAD)

    def grid(self, seed: int = 0) -> FactorDataset:
        """8,000 random rows."""
        return self.sample(ROWS, seed)

    def in_frame(self, factors: Tensor) -> Tensor:
        """``(n,)`` booleans: is every part inside the place where the ruler looks for it?"""
        lever, valve, power, gear, piston, level, lamp, needle = factors.unbind(-1)
        angles = (lever.abs() <= 44) & (gear.abs() <= 90) & (needle.abs() <= 80)
        heights = (piston >= -0.5) & (piston <= 6.5) & (level >= 0.1) & (level <= 8.5)
        parts = (valve >= 0.1) & (valve <= 1.2) & (power >= -0.1) & (power <= 1.1)
        return angles & heights & parts & (lamp >= 0) & (lamp <= 1)

    def _draw(self, canvas: Tensor, factors: Tensor) -> None:
        """Every part at its place. What leaves the picture, or has no height, is not seen."""
        lever, valve, power, gear, piston, level, lamp, needle = factors.unbind(-1)
        foot = TANK[2] - LINE  # water lies under the floor's line, so that this has clean edges
        drawing.block(canvas, FRAME, *TANK[:2], foot, TANK[2] + level.clamp_min(0), SKY_BLUE)
        _frame(canvas, *TANK)
        _frame(canvas, *CYLINDER)
        drawing.block(
            canvas, FRAME, *VALVE, VALVE_FLOOR, VALVE_FLOOR + VALVE_HEIGHT * valve, ORANGE
        )
        _turned(canvas, LEVER, LEVER_LENGTH, lever, KNOB)
        _disc(canvas, *GEAR, GEAR_RADIUS, ORANGE)
        _disc(canvas, *_end(GEAR, MARK_AT, gear), MARK, FIREBRICK)
        head = PISTON_FLOOR + piston
        top = GEAR[1] + GEAR_RADIUS
        drawing.block(canvas, FRAME, PISTON - LINE / 2, PISTON + LINE / 2, top, head, BLACK)
        low, high = head - HEAD / 2, head + HEAD / 2
        drawing.block(
            canvas, FRAME, PISTON - HEAD_HALF, PISTON + HEAD_HALF, low, high, FIREBRICK
        )
        x, y = SWITCH
        drawing.block(canvas, FRAME, x, x + SWITCH_WAY, y - LINE / 2, y + LINE / 2, BLACK)
        _disc(canvas, x + SWITCH_WAY * power, y, KNOB, FIREBRICK)
        _disc(canvas, *LAMP, LAMP_RADIUS, ORANGE, lamp.clamp(0, 1))
        _turned(canvas, METER, NEEDLE, needle, TIP)
        if self.guard:
            drawing.block(canvas, FRAME, *GUARD, BLACK)

    def measure(self, images: Tensor) -> Tensor:
        """Read ``(n, 8)`` factors off ``(n, 3, h, w)`` images, of any size.

        Every factor is read at its own place: angles and the switch from where the red part
        lies, the piston from its head, valve and level from an area of their colour, the lamp
        from its middle. Nothing is learned, so a machine that breaks its laws reads as well as
        a lawful one. A part that is missing, or hidden by the guard, is NaN.
        """
        images = drawing.as_pictures(images)
        found = [
            _angle(images, LEVER, (0.0, 7.3, 2.0, 6.6), KNOB),
            _share(
                images, (VALVE[0] - 0.5, VALVE[1] + 0.5, 9.0, 14.0), ORANGE, VALVE[1] - VALVE[0]
            )
            / VALVE_HEIGHT,
            (_red(images, (1.0, 6.0, 15.8, 18.6), KNOB)[0] - SWITCH[0]) / SWITCH_WAY,
            _angle(images, GEAR, (7.2, 12.8, 1.2, 6.8), MARK),
            _red(images, (8.6, 11.4, 7.0, 15.1), (2 * HEAD_HALF * HEAD / torch.pi) ** 0.5)[1]
            - PISTON_FLOOR,
            _share(images, (TANK[0] + 0.5, TANK[1] - 0.5, TANK[2] - LINE, 11.0), SKY_BLUE, 3.0),
            _lamp(images),
            _angle(images, METER, (11.9, 20.0, 13.5, 18.4), TIP),
        ]
        return torch.stack(found, -1)


def _end(start: tuple[float, float], length: float, degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Where a rod ends that leans to the right of the vertical by ``degrees``."""
    angle = torch.deg2rad(degrees)
    return start[0] + length * torch.sin(angle), start[1] + length * torch.cos(angle)


def _turned(
    canvas: Tensor, hinge: tuple[float, float], length: float, degrees: Tensor, radius: float
) -> None:
    """A rod from its hinge, with a red ball at its end."""
    size = canvas.shape[-1]
    end = _end(hinge, length, degrees)
    half = LINE / 2 * size / SIDE
    drawing.rod(canvas, FRAME.to_pixels(*hinge, size), FRAME.to_pixels(*end, size), half)
    _disc(canvas, *end, radius, FIREBRICK)


def _disc(
    canvas: Tensor, x: Tensor | float, y: Tensor | float, radius: float, colour: Colour,
    brightness: Tensor | None = None,
) -> None:  # fmt: skip
    """A disc in the scene's axes."""
    size = canvas.shape[-1]
    x, y = (torch.as_tensor(v).to(canvas).expand(len(canvas)) for v in (x, y))
    pixels = torch.full_like(x, radius * size / SIDE)
    drawing.disc(canvas, *FRAME.to_pixels(x, y, size), pixels, colour, brightness)


def _frame(canvas: Tensor, left: float, right: float, bottom: float, top: float) -> None:
    """Two walls and a floor."""
    for x in (left, right):
        drawing.block(canvas, FRAME, x - LINE / 2, x + LINE / 2, bottom, top, BLACK)
    drawing.block(
        canvas, FRAME, left - LINE / 2, right + LINE / 2, bottom - LINE, bottom, BLACK
    )


Place = tuple[float, float, float, float]  # left, right, bottom and top of where to look


def _area(images: Tensor, place: Place, colour: Colour) -> tuple[Tensor, Tensor, Tensor]:
    """Share ``(n, h, w)`` of a colour in a place, and the pixels' centres x and y."""
    left, right, bottom, top = place
    x, y = FRAME.centres(images)
    others = {c: 0.0 for c in (WHITE, ORANGE, FIREBRICK) if c != colour}
    if colour == SKY_BLUE:
        others = {WHITE: 0.0}
    share = drawing.contrast(images, {**others, colour: 1.0})
    share = torch.where(share < drawing.SMALLEST_SHARE, 0.0, share)
    down = drawing.within(-y, -top, -bottom).unsqueeze(1)
    return share * down * drawing.within(x, left, right), x, y


def _pixel(x: Tensor, y: Tensor) -> Tensor:
    return (x[1] - x[0]) * (y[0] - y[1])


def _red(images: Tensor, place: Place, radius: float) -> tuple[Tensor, Tensor]:
    """Centre ``(n,)``, ``(n,)`` of a red part of this radius; NaN if too little is there."""
    share, x, y = _area(images, place, FIREBRICK)
    area = share.sum((1, 2)) * _pixel(x, y)
    there = area > FAINTEST * torch.pi * radius**2
    across, up = drawing.centroid(share, x, y)
    return torch.where(there, across, torch.nan), torch.where(there, up, torch.nan)


def _angle(images: Tensor, hinge: tuple[float, float], place: Place, radius: float) -> Tensor:
    """By how many degrees the red ball lies to the right of the vertical above its hinge."""
    x, y = _red(images, place, radius)
    return torch.rad2deg(torch.atan2(x - hinge[0], y - hinge[1]))


def _share(images: Tensor, place: Place, colour: Colour, width: float) -> Tensor:
    """Height ``(n,)`` of a part of a known width, from its area; NaN where there is none."""
    share, x, y = _area(images, place, colour)
    height = share.sum((1, 2)) * _pixel(x, y) / width
    return torch.where(height > 0.1, height, torch.nan)


def _lamp(images: Tensor) -> Tensor:
    """How bright ``(n,)`` the lamp's middle is: orange has all of red, black none of it.

    What is white there, the haze of a soft picture, has as much blue as red and does not count.
    """
    x, y = FRAME.centres(images)
    middle = torch.hypot(x - LAMP[0], y.unsqueeze(1) - LAMP[1]) < LAMP_MIDDLE
    red, _, blue = images[:, :, middle].mean(-1).unbind(1)
    return torch.where(blue < 0.5, red - blue, torch.nan)
