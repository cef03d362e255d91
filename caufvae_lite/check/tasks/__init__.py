"""The exercises, one file an assignment: what each asks, and how an answer is tried.

The right answers here are written otherwise than the worked solutions in the notebooks, and a
test holds the two against each other.
"""

from importlib import import_module

from caufvae_lite.check.exercise import Exercise

TITLES = {
    "01": "flows", "02": "causal_masking", "03": "vae_training", "04": "identifiability",
    "05": "interventions", "06": "downstream_tasks", "07": "structure_learning",
}  # fmt: skip


def exercises(assignment: str) -> dict[str, Exercise]:
    """The exercises of ``"01"`` to ``"07"``, by id, in order."""
    if assignment not in TITLES:
        raise ValueError(f"There is no assignment {assignment!r}; there are {list(TITLES)}.")
    module = import_module(f"caufvae_lite.check.tasks.a{assignment}")
    return {exercise.id: exercise for exercise in module.EXERCISES}
