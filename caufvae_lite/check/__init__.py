"""The course's checks: `check` and `passed` in the notebook, a grader behind the command line.

``python -m caufvae_lite.check grade | progress | release``; see docs/course.md.
"""

from caufvae_lite.check.practice import check, passed

__all__ = ["check", "passed"]
