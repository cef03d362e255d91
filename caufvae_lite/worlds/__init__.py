"""Worlds: simulators that know what the picture would have been."""

from caufvae_lite.worlds.base import World
from caufvae_lite.worlds.pendulum import Pendulum

__all__ = ["Pendulum", "World"]
