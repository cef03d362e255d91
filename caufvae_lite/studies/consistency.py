"""The consistency of a categorical factor: what is drawn as a 7 must be read as a 7.

The label *and* the style of a picture say which digit it shows. A decoder may then go by the
style, and do(digit) changes nothing. So in training the rows also exchange their classes, their
pictures are drawn with everything else kept, and the encoder, held fast, must read in them the
classes that were asked for. (The same for a continuous factor was tried and does harm. The
decoder finds pictures that the encoder misreads, and the whole picture gets worse.)
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.func import functional_call

from caufvae_lite.factor_vae import FactorVAE, Terms
from caufvae_lite.graph import class_of

__all__ = ["with_consistency"]


def with_consistency(kind: type[FactorVAE], name: str, weight: float) -> type[FactorVAE]:
    """The model ``kind`` with the term for its categorical factor ``name``.

    The term is a cross-entropy in nats an image. The first half of a batch has it, at twice the
    weight, which halves its cost. Rows without all labels have none. It is a term of training
    alone, and `load` does not know the class: a saved model of it cannot be read back.
    """

    class Consistent(kind):  # type: ignore[misc,valid-type]
        def row_terms(self, images: Tensor, factors: Tensor, draws: Tensor) -> Terms:
            terms = super().row_terms(images, factors, draws)
            term = torch.zeros_like(terms["kl"])
            half = (len(term) + 1) // 2
            term[:half] = 2 * weight * _misread(self, name, images[:half], factors[:half])
            return {**terms, "reconstruction": terms["reconstruction"] + term}

    Consistent.__name__ = Consistent.__qualname__ = f"{kind.__name__} with consistency"
    return Consistent


def _misread(model: FactorVAE, name: str, images: Tensor, factors: Tensor) -> Tensor:
    """Cross-entropy ``(n,)`` of the classes that were asked for, as the encoder reads them.

    Each row is asked for the class of the row before it, which in a batch is a random one.
    """
    columns = [
        i for i, node in enumerate(model.graph.nodes) if class_of(node, name) is not None
    ]
    labels = model.standardise(factors, len(images))
    labels[:, columns] = labels.roll(1, 0)[:, columns]
    known, asked = ~torch.isnan(labels).any(-1), torch.nan_to_num(labels)
    with torch.no_grad():
        style = model.posterior(model.prepared(images)).mean[:, len(model.graph) :]
    drawn = torch.sigmoid(model.draw(model.label_latents(asked), style))
    held_fast = {key: p.detach() for key, p in model.encoder.named_parameters()}
    read = functional_call(model.encoder, held_fast, (drawn,))[:, columns]
    wrong = F.binary_cross_entropy_with_logits(read, asked[:, columns], reduction="none")
    return torch.where(known, wrong.sum(-1), 0.0)
