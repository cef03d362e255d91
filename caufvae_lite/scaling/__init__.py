"""One run on several processes, in several rounds, or stopped and resumed."""

from caufvae_lite.scaling.team import Team, TrainingStopped

__all__ = ["Team", "TrainingStopped"]
