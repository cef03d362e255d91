"""The small exercises of the lessons: an unanswered blank is told, and is no error."""

from __future__ import annotations


def tried(*answers: object) -> bool:
    """Has the reader filled in the blank whose ``answers`` these are?

    A blank is ``...``: a variable set to it is still ``...``, and a function whose body it is
    returns None. A lesson that nobody has touched thus runs to its end.

    Returns:
        False, after printing a line that says so, where one of ``answers`` is ``...`` or None.

    Example:
        >>> def square(x):
        ...     ...
        >>> tried(square(3))
        not tried yet: replace the ... in the cell above, then run both cells again
        False
        >>> tried(9)
        True
    """
    blank = any(answer is None or answer is ... for answer in answers)
    if blank:
        print("not tried yet: replace the ... in the cell above, then run both cells again")
    return not blank
