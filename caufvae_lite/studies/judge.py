"""An independent judge of handwriting: a network that reads pen, ink and digit off a picture.

The field's benchmark measures counterfactual pictures by networks that were trained on real
ones. This is such a network, a convolutional one without any latent or cause. It has seen other
handwriting than the pictures that it judges. It errs on real pictures and on true
counterfactual ones too, and that *floor* is part of the table: below it, lower is not truer.
The rulers of `datasets.morphology` stand beside it.
"""

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from caufvae_lite.data import FactorDataset, as_float
from caufvae_lite.datasets.digits import DIGIT, Digits
from caufvae_lite.networks import Encoder
from caufvae_lite.randomness import keyed_generator
from caufvae_lite.training import one_cycle

__all__ = ["Judge"]

EPOCHS, BATCH, LEARNING_RATE, DECAY = 10, 64, 4e-3, 1e-2
READ_AT_ONCE = 500


class Judge:
    """Reads thickness, intensity and digit off ``(n, 1, 32, 32)`` pictures.

    ``rows`` are what it learns from, with the columns of `Digits`; ``seed`` is of its first
    weights and of the order of the rows.
    """

    def __init__(self, rows: FactorDataset, seed: int = 0):
        torch.manual_seed(seed)
        images, labels = rows.images, rows.factors
        self.mean, self.std = labels[:, :DIGIT].mean(0), labels[:, :DIGIT].std(0)
        self.network = Encoder(tuple(images.shape[1:]), labels.shape[1])  # type: ignore[arg-type]
        optimizer = torch.optim.AdamW(self.network.parameters(), weight_decay=DECAY)
        steps = EPOCHS * (len(rows) // BATCH)
        for epoch in range(EPOCHS):
            order = torch.randperm(len(rows), generator=keyed_generator(seed, epoch))
            for k, batch in enumerate(order.split(BATCH)[: len(rows) // BATCH]):
                done = (epoch * (len(rows) // BATCH) + k) / steps
                optimizer.param_groups[0]["lr"] = LEARNING_RATE * one_cycle(done)
                found = self.network(as_float(images[batch]))
                target = (labels[batch, :DIGIT] - self.mean) / self.std
                loss = F.mse_loss(found[:, :DIGIT], target)
                loss = loss + F.cross_entropy(found[:, DIGIT:], labels[batch, DIGIT:])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Thickness and intensity ``(n, 2)`` in their units, and the digit ``(n,)``."""
        pictures = as_float(images.cpu()).split(READ_AT_ONCE)
        found = torch.cat([self.network(part) for part in pictures])
        return found[:, :DIGIT] * self.std + self.mean, found[:, DIGIT:].argmax(-1)


@lru_cache(maxsize=1)
def judge_of(rows: tuple[int, ...], copies: int = 6) -> Judge:
    """The judge that has learned from these rows of handwriting.

    It sees each ``copies`` times as the law draws it, and as often with any ink on any pen:
    otherwise it would itself infer the ink from the pen, and judge do(intensity) wrongly.
    """
    hands = Digits().rows(list(rows))
    lawful, free = (hands.rewritten(copies, 1000 + k, lawful=k == 0) for k in range(2))
    images = torch.cat([lawful.images, free.images])
    factors = torch.cat([lawful.factors, free.factors])
    return Judge(FactorDataset(images, factors, lawful.graph, lawful.units, lawful.kinds))
