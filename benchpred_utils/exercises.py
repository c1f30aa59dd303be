"""Self-checks: an answer is told right from wrong, and the page does not show which one is right."""

import hashlib
import math
from numbers import Real

__all__ = ["Check"]


class Check:
    """Tells whether an answer to the exercise `label` is right, from the fingerprint of the right one.

    A number is right within about `step`, in units of the answer: the fingerprint is of the nearest multiple of
    `step`, and an answer between it and a neighbour matches.  Without `step` it must be the same word (case and
    spaces at its ends do not count) or the same whole number (3.0 is 3).  `Check.of(label, answer, step)` makes the
    fingerprint.
    Raises TypeError for an answer that is no number where one is asked for.
    """

    def __init__(self, label, fingerprint, step=None):
        self.label, self.fingerprint, self.step = label, fingerprint, step

    @classmethod
    def of(cls, label, answer, step=None):
        """The check whose right answer is `answer`."""
        value = str(answer).strip().lower() if step is None else round(answer / step)
        return cls(label, _fingerprint(label, value), step)

    def matches(self, answer):
        """Whether the answer is the right one."""
        return any(
            _fingerprint(self.label, value) == self.fingerprint for value in self._values(answer)
        )

    def __call__(self, answer=...):
        """Print the verdict on an answer; the dots stand for one that was not given yet."""
        if answer is ...:
            print(
                f"{self.label}: not answered yet. Put your answer in place of the dots and run this cell."
            )
        elif self.matches(answer):
            print(f"{self.label}: right.")
        else:
            print(f"{self.label}: not right yet. Check units and definitions, and try again.")

    def __repr__(self):
        return f"Check({self.label!r}, {self.fingerprint!r}" + (
            f", step={self.step!r})" if self.step else ")"
        )

    def _values(self, answer):
        if self.step is None:
            whole = (
                isinstance(answer, Real)
                and not isinstance(answer, bool)
                and float(answer).is_integer()
            )
            return {str(int(answer) if whole else answer).strip().lower()}
        try:
            steps = float(answer) / self.step
        except (TypeError, ValueError):
            raise TypeError(f"{self.label} asks for a number, not {answer!r}") from None
        return {math.floor(steps), math.ceil(steps)} if math.isfinite(steps) else set()


def _fingerprint(label, value):
    return hashlib.sha256(f"{label}:{value}".encode()).hexdigest()[:12]
