"""Inside inspect_ai: a session says which sample runs next, by its protocol of early stopping."""

from .session import EvaluationSession

__all__ = ["SessionStopping"]


class SessionStopping:
    """What ``inspect_ai.Task(early_stopping=SessionStopping(session))`` takes (tried: 0.3.285).

    All samples of the task are scheduled at once, by ``eval(task, max_samples=N)``; they wait here
    until the session asks for them, and are stopped when it is done. Their scores, C, I, P or
    numbers, are recorded: those of `scorer`, or of the only one. The session's items are the
    samples' ids, or "task:id". With a `path` it goes on after a crash: run the task again.
    Raises ValueError, before anything runs, where samples would wait for ever.
    """

    def __init__(self, session: EvaluationSession, scorer: str | None = None):
        self.session = session
        self.scorer = scorer

    async def start_task(self, task, samples, epochs):
        """Check that every item can be run; called once."""
        from anyio import Event

        self._changed = Event()
        known = set(self.session.source.items.tolist())
        name = task.task.rpartition("/")[2]
        self._names = {
            sample.id: item
            for sample in samples
            for item in (f"{name}:{sample.id}", str(sample.id))
            if item in known
        }
        lacks = known - set(self._names.values())
        if lacks:
            raise ValueError(f"{len(lacks)} items are no samples of the task, such as {min(lacks)}")
        if epochs != 1 or task.config.fail_on_error not in (None, True):
            raise ValueError("a session takes one epoch, and fail_on_error as it is")
        if (task.config.max_samples or 0) < len(samples):
            raise ValueError(
                f"samples wait for each other: run the task with max_samples={len(samples)} "
                "(max_connections says how many are run at once)"
            )
        return "benchpred"

    async def schedule_sample(self, id, epoch):
        """Wait until the session asks for the sample; stop it where it never will."""
        from inspect_ai.util import EarlyStop

        name = self._names.get(id)
        while name and not self.session.done and name not in self.session.results:
            if name in self.session.next_items():
                return None
            await self._changed.wait()
        return EarlyStop(id=id, epoch=epoch, reason="the session did not ask for it")

    async def complete_sample(self, id, epoch, scores):
        """Record a score; the others wait for it."""
        from anyio import Event
        from inspect_ai.scorer import value_to_float

        name = self.scorer or next(iter(scores))
        if len(scores) > 1 and not self.scorer:
            raise ValueError(f"the task has the scorers {', '.join(scores)}: say which, scorer=")
        value = value_to_float()(scores[name].score.value)
        self.session.record(self._names[id], value)
        self._changed.set()
        self._changed = Event()

    async def complete_task(self):
        """What the log says of the session."""
        found = self.session.estimate()
        return {"value": found.value, "lower": found.lower, "upper": found.upper, "n": found.n}
