"""The models that CauF-VAE is compared with: one file each, on the same networks.

A file holds the model's class and its `RECIPES`, by which the scoreboard trains it. A new
model is a new file, and a name in the lists below.
"""

from caufvae_lite.baselines import (
    beta_vae,
    carefl,
    causalvae,
    dear,
    deepscm,
    icmvae,
    ivae,
    vae,
)
from caufvae_lite.baselines.beta_vae import BetaVAE
from caufvae_lite.baselines.carefl import CareflVAE
from caufvae_lite.baselines.causalvae import CausalVAE
from caufvae_lite.baselines.controls import TwoStages
from caufvae_lite.baselines.dear import DearPriorVAE
from caufvae_lite.baselines.deepscm import DeepSCM
from caufvae_lite.baselines.icmvae import ICMVAE
from caufvae_lite.baselines.ivae import IVAE
from caufvae_lite.baselines.published import PublishedCauFVAE
from caufvae_lite.baselines.vae import VAE

__all__ = ["ICMVAE", "IVAE", "VAE", "BetaVAE", "CareflVAE", "CausalVAE", "DearPriorVAE"]
__all__ += ["DeepSCM", "PublishedCauFVAE", "TwoStages"]

RECIPES = vae.RECIPES | beta_vae.RECIPES | ivae.RECIPES | causalvae.RECIPES
RECIPES |= dear.RECIPES | icmvae.RECIPES | carefl.RECIPES | deepscm.RECIPES
