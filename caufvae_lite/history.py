"""What happened in a training run: a table that plots itself."""

import json
from dataclasses import asdict, dataclass, field

from matplotlib.figure import Figure

DRAWN = ("reconstruction", "kl", "supervision", "label_likelihood")
TRAIN, HELD_OUT = "#0072B2", "#000000"  # the colours of posterior and data in `plots`


@dataclass
class History:
    """Losses epoch by epoch, as `fit` returns them.

    Attributes:
        train: one ``{term: mean over the epoch's batches}`` per epoch, as the loss weighs it.
        validation: the same on the held-out training rows, after the epoch.
        seconds: wall-clock seconds of each epoch.
        best_epoch: the epoch (from 0) whose state was kept.
        device: where it ran.
    """

    train: list[dict[str, float]] = field(default_factory=list)
    validation: list[dict[str, float]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    best_epoch: int = -1
    device: str = "cpu"

    def __len__(self) -> int:
        return len(self.train)

    def __repr__(self) -> str:
        if not self.train:
            return "History(no epoch yet)"
        best = self.validation[self.best_epoch]["total"]
        return (
            f"History({len(self)} epochs in {sum(self.seconds):.0f} s on {self.device}, "
            f"best epoch {self.best_epoch + 1}, validation loss {best:.1f})"
        )

    @property
    def best_loss(self) -> float:
        """The lowest validation total so far; infinity before the first epoch."""
        return min((v["total"] for v in self.validation), default=float("inf"))

    def plot(self) -> Figure:
        """The weighted terms over the epochs: lines train, dashes validation."""
        figure = Figure(figsize=(6.2, 4.2), layout="constrained")
        axes = figure.subplots(2, 2).ravel()
        epochs = range(1, len(self) + 1)
        for ax, term in zip(axes, DRAWN, strict=True):
            ax.plot(epochs, [e[term] for e in self.train], color=TRAIN)
            ax.plot(epochs, [e[term] for e in self.validation], "--", color=HELD_OUT)
            ax.set(title=term.replace("_", " "), xlabel="epoch")
            if term in ("reconstruction", "supervision"):
                ax.set_yscale("log")
            if self.best_epoch >= 0:
                ax.axvline(self.best_epoch + 1, color="0.85", zorder=0)
        figure.supylabel("weighted, per image", fontsize=9)
        axes[0].legend(["train", "held out"], frameon=False)
        return figure

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "History":
        return cls(**json.loads(text))
