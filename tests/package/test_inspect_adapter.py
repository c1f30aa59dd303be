"""A session inside inspect_ai, with the real library where it is installed, and a mock model."""

import numpy as np
import pytest

from benchpred_utils.evaluate import EvaluationSession
from benchpred_utils.evaluate.inspect_adapter import SessionStopping
from benchpred_utils.scores import Scores

inspect_ai = pytest.importorskip("inspect_ai")


@pytest.fixture
def parts(matrix):
    """Sources with the items of a task, and the task, which always answers yes."""
    from inspect_ai.dataset import Sample
    from inspect_ai.model import ModelOutput
    from inspect_ai.scorer import match
    from inspect_ai.solver import solver

    items = [f"sums:{number}" for number in range(60)]
    samples = [
        Sample(id=number, input="?", target="yes" if matrix[-1, number] else "no")
        for number in range(60)
    ]

    @solver
    def yes():
        async def solve(state, generate):
            state.output = ModelOutput.from_content("mockllm/model", "yes")
            return state

        return solve

    def task(session):
        stopping = SessionStopping(session)
        return inspect_ai.Task(
            name="sums", dataset=samples, solver=yes(), scorer=match(), early_stopping=stopping
        )

    return Scores(matrix[:-1], items=items), task


def evaluated(task, folder, **options):
    options = {"max_samples": 60, "display": "none", "log_dir": str(folder)} | options
    (log,) = inspect_ai.eval(task, model="mockllm/model", **options)
    return log


def test_the_session_says_which_samples_run(parts, matrix, tmp_path):
    sources, task = parts
    path = tmp_path / "s.json"
    session = EvaluationSession(sources, budget=20, rng=np.random.default_rng(3), path=path)
    log = evaluated(task(session), tmp_path)
    assert log.status == "success" and session.done, log.error
    assert {f"sums:{sample.id}" for sample in log.samples} == session.results.keys()
    truth = dict(zip(sources.items.tolist(), matrix[-1]))
    assert all(session.results[name] == truth[name] for name in session.results)
    alone = EvaluationSession(sources, budget=20, rng=np.random.default_rng(3))
    while not alone.done:
        asked = alone.next_items()
        alone.record(asked, [truth[name] for name in asked])
    np.testing.assert_equal(alone.estimate(), session.estimate())
    assert log.results.early_stopping.metadata["value"] == pytest.approx(alone.estimate().value)


def test_it_goes_on_with_a_session_that_was_begun(parts, matrix, tmp_path):
    sources, task = parts
    session = EvaluationSession(sources, budget=20, rng=np.random.default_rng(3))
    first = session.next_items()
    truth = dict(zip(sources.items.tolist(), matrix[-1]))
    session.record(first, [truth[name] for name in first])
    log = evaluated(task(session), tmp_path)
    assert session.done and len(log.samples) == 20 - len(first)


def test_what_would_wait_for_ever_is_refused(parts, tmp_path):
    sources, task = parts
    session = EvaluationSession(sources, budget=20, rng=np.random.default_rng(3))
    for options in ({"max_samples": 10}, {"limit": 30}, {"epochs": 2}, {"fail_on_error": False}):
        log = evaluated(task(session), tmp_path, **options)
        assert log.status == "error" and not session.results
