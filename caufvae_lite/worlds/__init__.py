"""Worlds: simulators that know what the picture would have been."""

from caufvae_lite.worlds.base import StructuralWorld, World
from caufvae_lite.worlds.machine import Machine
from caufvae_lite.worlds.pendulum import Pendulum
from caufvae_lite.worlds.water import Water

__all__ = ["Machine", "Pendulum", "StructuralWorld", "Water", "World"]
