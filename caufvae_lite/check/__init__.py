"""The course's checks: `check`, `passed` and `picture` in the notebook, and a grader.

``python -m caufvae_lite.check grade | nbgrader | progress | release``; see docs/course.md.
"""

from caufvae_lite.check.pictures import picture
from caufvae_lite.check.practice import check, passed

__all__ = ["check", "passed", "picture"]
