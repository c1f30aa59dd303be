"""Self-checks: an answer is told right from wrong, and the page does not show the right one."""

import hashlib
import math
from numbers import Real

__all__ = ["Check"]


class Check:
    """Tells whether an answer to the exercise `label` is right, from the right one's fingerprint.

    A number is right within about `step`, in units of the answer: the fingerprint is of the nearest
    multiple of `step`, and an answer between it and a neighbour matches.  Without `step` it must be
    the same word (case and spaces at its ends do not count) or the same whole number (3.0 is 3).
    `Check.of(label, answer, step)` makes the fingerprint.
    Raises TypeError for an answer that is no number where one is asked for.
    """

    def __init__(self, label, fingerprint, step=None):
        self.label = label
        self.fingerprint = fingerprint
        self.step = step

    @classmethod
    def of(cls, label, answer, step=None):
        """The check whose right answer is `answer`."""
        value = str(answer).strip().lower() if step is None else round(answer / step)
        return cls(label, _fingerprint(label, value), step)

    def matches(self, answer):
        """Whether the answer is the right one."""
        found = {_fingerprint(self.label, value) for value in self._values(answer)}
        return self.fingerprint in found

    def __call__(self, answer=...):
        """Print the verdict and what it was given; the dots stand for no answer yet."""
        if answer is ...:
            said = "not answered yet. Put your answer in place of the dots and run this cell."
        elif self.matches(answer):
            said = f"right: {self._shown(answer)}"
        else:
            said = f"not right yet: {self._shown(answer)}. Check units and definitions, try again."
        print(f"{self.label}: {said}")

    def __repr__(self):
        step = f", step={self.step!r}" if self.step else ""
        return f"Check({self.label!r}, {self.fingerprint!r}{step})"

    def _shown(self, answer):
        return answer if self.step is None else f"{float(answer):.6g}"

    def _values(self, answer):
        """The values, in steps or as a word, that this answer may stand for."""
        if self.step is not None:
            try:
                steps = float(answer) / self.step
            except (TypeError, ValueError):
                raise TypeError(f"{self.label} asks for a number, not {answer!r}") from None
            return {math.floor(steps), math.ceil(steps)} if math.isfinite(steps) else set()
        is_number = isinstance(answer, Real) and not isinstance(answer, bool)
        if is_number and float(answer).is_integer():
            answer = int(answer)
        return {str(answer).strip().lower()}


def _fingerprint(label, value):
    return hashlib.sha256(f"{label}:{value}".encode()).hexdigest()[:12]
