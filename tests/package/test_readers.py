"""Readers: what is in a file comes back as it is, and what is wrong is said with its place."""

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchpred_utils.estimators import aipw_cross_fitted, random_sampling
from benchpred_utils.evaluate import EvaluationSession
from benchpred_utils.evaluate.readers import (
    read_any,
    read_helm,
    read_lm_eval,
    read_results,
    read_scores,
)
from benchpred_utils.scores import Scores

LOGS = Path(__file__).resolve().parents[2] / "book" / "logs"


@pytest.fixture
def wide(tmp_path):
    """Writes the text of a table to a file."""

    def write(text, name="t.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


# --- tables ---


@pytest.mark.parametrize("shape", ["wide", "long"])
@pytest.mark.parametrize("kind", ["csv", "tsv", "parquet"])
def test_a_table_comes_back_bit_for_bit(tmp_path, rng, shape, kind):
    names = [f"{i:03d}" for i in range(7)]  # 007 is a name, not the number 7
    frame = pd.DataFrame(
        rng.random((3, 7)), index=pd.Index(["b", "NA", "7"], name="model"), columns=names
    )
    table = frame.reset_index()
    if shape == "long":
        table = table.melt("model", var_name="item", value_name="score")
    path = tmp_path / f"t.{kind}"
    if kind == "parquet":
        pytest.importorskip("pyarrow")
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if kind == "tsv" else ",")
    scores = read_scores(path)
    assert scores.models.tolist() == ["b", "NA", "7"] and scores.items.tolist() == names
    assert (scores.values == frame.to_numpy()).all()


def test_words_bytes_at_the_start_and_empty_lines(wide):
    scores = read_scores(wide("\ufeffmodel,q1,q2\n\na,True,false\nb, 0.5 ,1\n\n"))
    assert scores.values.tolist() == [[1, 0], [0.5, 1]] and scores.items.tolist() == ["q1", "q2"]


def test_domains_of_a_long_table(wide):
    scores = read_scores(wide("model,item,score,domain\na,q1,1,x\na,q2,0,y\n"))
    assert scores.domains.tolist() == ["x", "y"]


@pytest.mark.parametrize(
    "text, says",
    [
        (
            "model,q1,q2\na,1,0\n\nb,87,1\n",
            r"t\.csv, row 4, column q1: .*model b on item q1 is 87, .*divide percentages",
        ),
        ("model,q1,q2\na,1,-3\n", r"row 2, column q2: .*an error rate e becomes 1 - e"),
        ("model,q1,q2\na,1,yes\n", r"row 2, column q2: .* is yes, .*write 0 or 1"),
        ("model,q1,q2\na,1,\nb,1,0\n", r"1 of 2 models lack scores:\n  a lacks 1 of 2 items: q2"),
        ("model,q1,q1\na,1,0\n", r"row 1: the column 'q1' comes twice"),
        (
            "model,item,score\na,q1,1\na,q2,1\na,q1,0\n",
            r"two scores on item q1: 1 \(.*row 2\) and 0 \(.*row 4\)",
        ),
        ("model,q1,q2\na,1,0\na,1,0\n", r"model a has two scores on item q1"),
        ("model|q1|q2\na|1|0\n", r"separated by commas"),
        ("model,q1,q2\na,1,0,1\n", r"row 2 has 4 cells, the header 3"),
        ("", r"t\.csv can't be read: it is empty"),
        ("model,q1,q2\na,0_1,1\n", r"row 2, column q1: .* is 0_1, .*write 0 or 1"),
        ("model,q1,q2\na,\u0661,1\n", r"row 2, column q1: .*write 0 or 1"),
        ("model,q1,q2\na,-nan,1\n", r"row 2, column q1: .* is -nan, .*write 0 or 1"),
        ("model,q1,q2\n", r"t\.csv can't be read: .*a header and no rows"),
        ("item,Item,score\nq1,q2,1\n", r"row 2: no item, or two columns of one name: item, Item"),
        (
            "model,item,score\na,q1,1\na,q2,1\nb,Q1,1\nb,Q2,1\n",
            r"b lacks 2 of 4 items: q1, q2 \(.*t\.csv\)",
        ),
        (
            "model,item,score\na,q1,1\na,q2,1\nb,Q1,1\nb,Q2,1\nc,x,1\n",
            r"leaves 0 items.*are items named alike in all files\?",
        ),
    ],
)
def test_what_is_wrong_in_a_table_is_said_with_its_place(wide, text, says):
    with pytest.raises(ValueError, match=says):
        read_scores(wide(text))


def test_a_name_may_be_long(wide):
    name = "q" * 200_000
    assert read_scores(wide(f"model,{name},q2\na,1,0\n")).items.tolist() == [name, "q2"]


@pytest.mark.parametrize(
    "text, values",
    [
        (
            '{"model": "A", "q1": 1, "q2": 0}\n\n{"model": "B", "q1": 0, "q2": 1}\n',
            [[1, 0], [0, 1]],
        ),
        ('{"Item": "q1", " SCORE": 1}\n{"Item": "q2", " SCORE": 0}\n', [[1, 0]]),
        ('{"model": null, "item": "q1", "score": 1}\n{"item": "q2", "score": 0}\n', [[1, 0]]),
    ],
)
@pytest.mark.parametrize("name", ["t.jsonl", "t.JSONL"])
def test_json_lines_are_a_table(wide, text, values, name):
    scores = read_any(wide(text, name))
    assert scores.values.tolist() == values and scores.items.tolist() == ["q1", "q2"]


def test_a_record_without_a_score_lacks_it(wide):
    text = '\n{"item": "q1", "score": 1}\n{"item": "q2"}\n'
    with pytest.warns(UserWarning, match="line 3: 1 of 2 items have no score: q2"):
        assert read_results(wide(text, "t.jsonl")).to_dict() == {"q1": 1, "q2": None}
    with pytest.raises(ValueError, match="line 2: the score of model t on item q1 is 7"):
        read_results(wide(text.replace("1}", "7}"), "t.jsonl"))


def test_a_gap_names_the_file_of_its_task(tmp_path):
    rows = {"easy": "m1,a,0\nm2,a,1\n", "hard": "m1,b,1\nm2,b,1\nm2,c,1\n"}
    for domain, text in rows.items():
        lines = text.replace("\n", f",{domain}\n")
        (tmp_path / f"{domain}.csv").write_text(f"model,item,score,domain\n{lines}")
    with pytest.raises(ValueError, match=r"m1 lacks 1 of 3 items: c \(.*hard.csv\)"):
        read_any([tmp_path / "easy.csv", tmp_path / "hard.csv"])


def test_items_that_some_model_lacks_can_be_dropped(wide):
    path = wide("model,q1,q2,q3,q4\na,1,,0,1\nb,0,1,NaN,1\n")
    with pytest.warns(UserWarning, match="2 models x 2 items: 2 of 2 models lack scores"):
        assert read_scores(path, missing="drop").items.tolist() == ["q1", "q4"]
    with pytest.raises(ValueError, match="leaves 0 items.*without a alone, drop leaves 1 items"):
        read_scores(wide("model,q1,q2\na,,\nb,0,\n"), missing="drop")
    with pytest.raises(ValueError, match="missing is 'ignore'; use"):
        read_scores(path, missing="ignore")


def test_without_pyarrow_it_is_said_what_to_do(wide, monkeypatch):
    def unavailable(*_):
        raise ImportError

    monkeypatch.setattr(pd, "read_parquet", unavailable)
    with pytest.raises(ImportError, match="t.parquet: to read Parquet install pyarrow") as told:
        read_scores(wide("PAR1", "t.parquet"))
    assert "inspect" not in str(told.value)


def test_results_of_one_model(wide):
    with pytest.warns(UserWarning, match="t.csv, row 4: 1 of 3 items have no score: q3"):
        results = read_results(wide("item,score\nq2,1\nq1,0.5\nq3,\n"))
    assert results.to_dict() == {"q2": 1, "q1": 0.5, "q3": None} and results.name == "t"
    assert read_results(wide('{"item": 7, "score": true}\n', "r.jsonl")).to_dict() == {"7": 1}
    with pytest.raises(ValueError, match="results are of one model, but 2 were found: a, b"):
        read_results(wide("model,item,score\na,q1,1\nb,q1,1\n"))
    with pytest.raises(ValueError, match=r"t\.csv, .*u\.csv: results are of one model, but 2"):
        read_results([wide("item,score\nq1,1\n"), wide("item,score\nq2,1\n", "u.csv")])
    with pytest.raises(FileNotFoundError, match="nowhere.csv is not there"):
        read_results("nowhere.csv")
    with pytest.raises(ValueError, match="no file is named"):
        read_results([])
    with pytest.warns(UserWarning, match="1 of 1 items have no score"):
        assert read_results(wide("item,score\nq1,\n")).to_dict() == {"q1": None}


# --- lm-evaluation-harness: logs that it wrote ---


def test_logs_of_the_harness():
    scores = read_lm_eval(LOGS / "sources", metric="acc")
    assert scores.models.tolist() == ["adder-0100", "adder-0200", "adder-0400", "adder-0800"]
    assert scores.items.tolist() == [f"sums:{i}" for i in range(24)]
    assert scores.accuracy == pytest.approx(
        [11 / 24, 14 / 24, 15 / 24, 21 / 24]
    )  # as the harness printed them
    files = sorted((LOGS / "sources").rglob("*.jsonl"))
    assert (read_lm_eval(files[::-1], metric="acc").items == scores.items).all()
    assert read_lm_eval({"mine": files[0]}, metric="acc").models.tolist() == ["mine"]


def test_filters_metrics_and_repeats():
    with pytest.raises(ValueError, match="has 2 metrics; say which: metric='acc' or 'acc_norm'"):
        read_lm_eval(LOGS / "sources")
    with pytest.raises(ValueError, match="has 2 filters; say which: filter='first' or 'majority'"):
        read_lm_eval(LOGS / "written")
    with pytest.raises(ValueError, match="has no metric 'f1'; say which: metric='exact_match'"):
        read_lm_eval(LOGS / "written", metric="f1", filter="first")
    with pytest.warns(UserWarning, match="adder-0800: some items were run more than once"):
        scores = read_lm_eval(LOGS / "written", filter="first")
    assert set(np.unique(scores.values)) == {0, 0.5, 1}
    assert scores.accuracy == pytest.approx([(0.5417 + 0.3333) / 2], abs=1e-4)


def log_of(path, *lines, **more):
    """A sample log at `path`, of lines {metric: score, ...}, which may say their doc_id."""
    path.parent.mkdir(exist_ok=True)
    lines = [{"doc_id": number} | more | line for number, line in enumerate(lines)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def test_logs_under_given_names_are_read_as_those_of_folders_are(tmp_path):
    name = "samples_t.jsonl"
    first = log_of(tmp_path / "a" / name, {"acc": 1}, {"acc": 0}, doc_hash="x")
    other = log_of(tmp_path / "b" / name, {"f1": 1}, {"f1": 0})
    both = {"one": first, "two": other}
    for paths in (both, dict(reversed(both.items()))):
        with pytest.raises(ValueError, match="2 metrics; say which: metric='acc' or 'f1'"):
            read_lm_eval(paths)
        with pytest.raises(ValueError, match="b.samples_t.jsonl, line 1 has f1 only"):
            read_lm_eval(paths, metric="acc")
    other = log_of(tmp_path / "b" / name, {"acc": 1}, {"acc": 0}, filter="strict")
    with pytest.raises(ValueError, match="2 filters; say which: filter='none' or 'strict'"):
        read_lm_eval({"one": first, "two": other})
    other = log_of(tmp_path / "b" / name, {"acc": 1}, {"acc": 0}, doc_hash="y")
    with pytest.raises(ValueError, match="2 items are not the same question in all files"):
        read_lm_eval({"one": first, "two": [other]})
    with pytest.warns(UserWarning, match="2 items are not the same question in all files"):
        scores = read_any({"one": first, "two": [other]}, same_items=True)
    assert scores.models.tolist() == ["one", "two"]
    assert read_any([f"x={first}"]).models.tolist() == ["x"]
    with pytest.warns(UserWarning, match="not the same question"):
        scores = read_any([f"x={first}", other], same_items=True)
    assert scores.models.tolist() == ["x", "b"]
    with pytest.raises(ValueError, match="no file is named"):
        read_lm_eval({})


def test_an_item_is_unanswered_only_where_no_log_has_its_score(tmp_path):
    nothing = log_of(tmp_path / "samples_t.jsonl", *[{"acc": None}] * 4, doc_hash="x")
    some = log_of(tmp_path / "samples_t_2026-01-01.jsonl", {"acc": 1}, {"acc": 0}, doc_hash="x")
    some.rename(some.with_name("samples_t_2026-01-01T00-00-00.0.jsonl"))
    with pytest.warns(UserWarning) as told:
        found = read_results(tmp_path).to_dict()
    assert found == {"t:0": 1, "t:1": 0, "t:2": None, "t:3": None}
    assert len(told) == 1 and "2 of 4 items have no score: t:2, t:3" in str(told[0].message)
    assert str(nothing) in str(told[0].message)


@pytest.mark.parametrize("score", [0.5, [1, 0], None])
def test_a_line_of_a_log_that_comes_again_counts_once(tmp_path, score):
    lines = [{"acc": 0}, {"acc": 1}, {"acc": score}, {"acc": score, "doc_id": 2, "more": 1}]
    path = log_of(tmp_path / "samples_t.jsonl", *lines, metrics=["acc"])
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert read_results(path).to_dict() == {"t:0": 0, "t:1": 1, "t:2": score and 0.5}
    assert len(told) == (score is None)


def test_some_items_only_and_the_same_questions():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        results = read_results(LOGS / "target", metric="acc")
        everything = [LOGS / "sources", LOGS / "target"]
        with pytest.raises(ValueError, match="adder-1600 lacks 12 of 24 items"):
            read_any(everything, metric="acc")
    with pytest.warns(UserWarning, match="12 of 24 of sums"):
        assert read_any(everything, metric="acc", missing="drop").n_items == 12
    assert results.index.tolist() == [
        f"sums:{i}" for i in json.loads((LOGS / "samples.json").read_text())["sums"]
    ]


def test_another_question_under_the_same_number_is_told(tmp_path):
    log = next((LOGS / "target").rglob("*.jsonl"))
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / log.name).write_text(
        log.read_text().replace('"doc_hash": "', '"doc_hash": "0')
    )
    says = "12 items are not the same question in all files, the first is sums:0"
    with pytest.raises(ValueError, match=says):
        read_lm_eval([log, tmp_path / "new"], metric="acc")
    with pytest.raises(ValueError, match=says):
        read_results(log, metric="acc", sources=tmp_path / "new")


@pytest.mark.parametrize(
    "change, says",
    [
        (lambda text: text[:1500], r"line 2 is not JSON as it was written; was the run cut off"),
        (
            lambda text: text.replace('"doc_id"', '"id"', 1),
            r"with the fields id, .*of another kind; read are lm-evaluation-harness",
        ),
        (
            lambda text: text.replace('"acc": 1.0', '"acc": 30.0'),
            r"line 2: the score of model .* on item sums:2 is 30.0",
        ),
        (lambda text: "\n", "is empty, .*was the run cut off"),
        (lambda text: '{"doc_id": 0}\n', "lacks 1 of 1 items: sums:0"),
        (
            lambda text: text.replace('"doc_id"', '"said": "a\u2028b\x85c", "doc_id"'),
            "",
        ),  # no ends of lines
        (lambda text: text.replace('"acc": 0.0', '"f1": 0.0', 1), r"line 1 has acc_norm only"),
        (
            lambda text: text + text.splitlines()[0].replace('"acc": 0.0', '"acc": 1.0') + "\n",
            r"two scores on item sums:0: 0 \(.*line 1\) and 1 \(.*line 13\); delete one of",
        ),
        (lambda text: text + text.splitlines()[0] + "\n", ""),
        (lambda text: text + text.splitlines()[0].replace("{", '{"again": 1, ', 1) + "\n", ""),
        (lambda text: text.replace('"acc": 1.0', '"acc": [1.0, 0.0]'), ""),
        (
            lambda text: text.replace('"metrics": ["acc", "acc_norm"], ', ""),
            "",
        ),  # as older versions write
    ],
)
def test_logs_that_are_odd(tmp_path, change, says):
    path = tmp_path / "samples_sums.jsonl"
    path.write_text(change(next((LOGS / "target").rglob("*.jsonl")).read_text()))
    if says:
        with pytest.raises(ValueError, match=says):
            read_lm_eval(path, metric="acc")
    else:
        assert read_lm_eval(path, metric="acc").accuracy[0] in (
            pytest.approx(11 / 12),
            pytest.approx(11 / 24),
        )


def test_a_score_that_is_empty_in_a_log_is_told(tmp_path):
    path = tmp_path / "samples_sums.jsonl"
    path.write_text(
        next((LOGS / "target").rglob("*.jsonl")).read_text().replace('"acc": 0.0', '"acc": null', 1)
    )
    with pytest.warns(
        UserWarning, match="samples_sums.jsonl, line 1: 1 of 12 items have no score: sums:0"
    ):
        assert read_results(path, metric="acc")["sums:0"] is None


def test_several_tasks_are_domains(tmp_path):
    log = next((LOGS / "target").rglob("*.jsonl")).read_text()
    for task in ("one", "two"):
        (tmp_path / f"samples_{task}_2026-01-02T03-04-05.678.jsonl").write_text(log)
    scores = read_lm_eval(tmp_path, metric="acc")
    assert (
        scores.n_items == 24
        and set(scores.domains) == {"one", "two"}
        and scores.items[0] == "one:0"
    )
    with pytest.raises(ValueError, match="holds no log; read are lm-evaluation-harness; lm_eval"):
        read_lm_eval(LOGS / "tasks")


# --- HELM ---


def test_a_run_of_helm():
    scores = read_helm(LOGS / "helm", metric="exact_match")
    assert (
        scores.models.tolist() == ["simple/model1"]
        and scores.items[0] == "simple_mcqa/id38"
        and scores.n_items == 6
    )
    assert (scores.values == 0).all()  # that model only ever repeats the end of its prompt
    with pytest.raises(
        ValueError, match="per_instance_stats.json has 21 metrics; say which: .*'exact_match'"
    ):
        read_helm(LOGS / "helm")
    with pytest.raises(ValueError, match="doc_id.*; read are HELM"):
        read_helm(LOGS / "sources")


def test_helm_runs_of_several_models_trials_and_perturbations(tmp_path):
    """Folders written here after HELM's: its own model gives zeros only."""
    for model, right in (("a/x", [1.0, 0.0]), ("b/y", [0.0, 1.0])):
        run = tmp_path / f"mmlu:subject=law,model={model.replace('/', '_')},k=5"
        run.mkdir()

        def stat(value):
            name = {"name": "exact_match", "split": "test"}
            return {"name": name, "count": 1, "mean": value}

        entries = [
            {"instance_id": f"id{i}", "train_trial_index": t, "stats": [stat(v)]}
            for i in (1, 10, 2)
            for t, v in enumerate(right)
        ]
        entries += [
            {
                "instance_id": "id1",
                "perturbation": {"name": "typos"},
                "train_trial_index": 0,
                "stats": [stat(0.0)],
            }
        ]
        (run / "per_instance_stats.json").write_text(json.dumps(entries))
        (run / "run_spec.json").write_text(
            json.dumps({"name": run.name, "adapter_spec": {"model": model}})
        )
    scores = read_helm(tmp_path)
    assert scores.models.tolist() == ["a/x", "b/y"] and (scores.values == 0.5).all()
    assert scores.items.tolist() == [f"mmlu:subject=law,k=5/id{i}" for i in (1, 2, 10)]


def test_helm_without_stats_and_with_missing_instances(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(LOGS / "helm" / "simple_mcqa", run)
    (run / "per_instance_stats.json").unlink()
    shown = json.loads((run / "display_predictions.json").read_text())
    for entry in shown[1:]:
        entry["stats"] = {"exact_match": 1.0}
    (run / "display_predictions.json").write_text(json.dumps(shown))
    with pytest.raises(ValueError, match="simple/model1 lacks 1 of 6 items: simple_mcqa/id60"):
        read_helm(run)
    with pytest.warns(UserWarning, match="1 models x 5 items"):
        assert read_helm(run, missing="drop").accuracy == [1]
    (run / "display_predictions.json").write_text("[{")
    with pytest.raises(ValueError, match="display_predictions.json can't be read: line 1 is not"):
        read_helm(run)
    (run / "display_predictions.json").write_text('[{"instance_id": "id1"}]')
    with pytest.raises(ValueError, match="run holds no log; read are HELM"):
        read_helm(run)


def test_a_folder_of_helm_without_its_specification_is_named_by_its_path(tmp_path):
    run = tmp_path / "simple_mcqa:subset=a,model=simple_model1"
    shutil.copytree(LOGS / "helm" / "simple_mcqa", run)
    (run / "run_spec.json").unlink()
    scores = read_helm(run, "exact_match")
    assert scores.models.tolist() == ["simple_model1"]
    assert scores.items[0].startswith("simple_mcqa:subset=a/id")


def test_helm_files_that_are_odd(tmp_path):
    run = tmp_path / "run"
    shutil.copytree(LOGS / "helm" / "simple_mcqa", run)
    file = run / "per_instance_stats.json"
    entries = json.loads(file.read_text())
    again = json.loads(json.dumps(entries[0]).replace('"mean": 0.0', '"mean": 1.0'))
    file.write_text(json.dumps([*entries, again]))
    with pytest.raises(
        ValueError,
        match=r"two scores on item simple_mcqa/id60: 0 \(.*, entry 1\) and 1 \(.*, entry 7\)",
    ):
        read_helm(run, metric="exact_match")
    file.write_text('[{"instance_id": "id1", "stats": [{"name": 1}]}]')
    with pytest.raises(ValueError, match="entry 1: .*, which is not as HELM writes it"):
        read_helm(run)


# --- scores between 0 and 1, all the way ---


@pytest.fixture(scope="module")
def graded(matrix):
    """Sources and a target with scores 0, 1/3, 2/3, 1."""
    blurred = np.mean([matrix, np.roll(matrix, 1, axis=1), np.roll(matrix, 2, axis=1)], axis=0)
    return Scores(blurred[:-1]), blurred[-1]


@pytest.mark.parametrize("mode", [{"budget": 15}, {"precision": 0.1}])
def test_a_session_with_scores_between(graded, mode):
    sources, target = graded
    answers, found = dict(zip(sources.items.tolist(), target)), []
    for seed in range(60):
        session = EvaluationSession(sources, rng=np.random.default_rng(seed), **mode)
        while not session.done:
            asked = session.next_items()
            session.record(asked, [answers[name] for name in asked])
        found.append(session.estimate()[:3])
    value, lower, upper = np.array(found).T
    assert ((lower <= target.mean()) & (target.mean() <= upper)).mean() >= 0.9
    if "budget" in mode:  # exactly unbiased
        assert abs(value.mean() - target.mean()) < 3 * value.std(ddof=1) / len(value) ** 0.5


@pytest.mark.parametrize("estimator", [random_sampling, aipw_cross_fitted])
def test_estimators_with_scores_between(graded, estimator, rng):
    sources, target = graded
    core = np.stack([rng.permutation(60)[:20] for _ in range(400)])
    value, lower, upper = (
        end[:, 0] for end in estimator(sources.values, core, target[core][:, None, :])
    )
    assert abs(value.mean() - target.mean()) < 3.5 * value.std(ddof=1) / 20
    assert ((lower <= target.mean()) & (target.mean() <= upper)).mean() >= 0.9


@pytest.mark.parametrize("first", ["model", "Model_Name", "model_id", "item", "question_id", ""])
def test_a_table_whose_last_column_is_called_1_has_a_header(tmp_path, first):
    path = tmp_path / "table.csv"
    path.write_text(f"{first},0,1\na,1,0\nb,0,1\n")
    scores = read_scores(path)
    assert sorted(scores.accuracy) == [0.5, 0.5]


@pytest.mark.parametrize("first", ["item", "question_id", "Question ID", "item_id"])
def test_a_table_whose_rows_are_items(tmp_path, first):
    path = tmp_path / "table.csv"
    path.write_text(f"{first},a,b\nq0,1,0\nq1,0,1\nq2,1,1\n")
    scores = read_scores(path)
    assert scores.models.tolist() == ["a", "b"] and scores.items.tolist() == ["q0", "q1", "q2"]


def test_a_table_with_a_column_of_tasks(tmp_path):
    """Item 0 of one task is not item 0 of the other."""
    rows = [f"{model},{task},{i},{i % 2}" for model in "AB" for task in "st" for i in range(3)]
    path = tmp_path / "table.csv"
    path.write_text("\n".join(["Model,Task,Question ID,Correct", *rows]))
    scores = read_scores(path)
    assert scores.items.tolist() == [f"{task}:{i}" for task in "st" for i in range(3)]
    assert scores.domains.tolist() == ["s"] * 3 + ["t"] * 3
    path.write_text("model,task,item,score\nA,t,t:0,1\nA,t,t:1,0\n")
    assert read_scores(path).items.tolist() == ["t:0", "t:1"]


def test_a_table_with_semicolons(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("model;q,0;q1\na;1;0\nb;0;0.5\n")
    scores = read_scores(path)
    assert scores.items.tolist() == ["q,0", "q1"] and scores.values.tolist() == [[1, 0], [0, 0.5]]


def test_a_column_of_accuracies_is_no_item_without_a_word(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("model,q0,q1,accuracy\na,1,0,0.5\nb,0,0,0\n")
    with pytest.warns(UserWarning, match="read as items: the columns accuracy"):
        read_scores(path)


def test_two_files_of_one_model_can_be_named(tmp_path):
    for name in ("one", "two"):
        (tmp_path / f"{name}.csv").write_text(f"item,score\n{name}-1,1\n{name}-2,0\n")
    paths = [tmp_path / "one.csv", tmp_path / "two.csv"]
    with pytest.raises(ValueError, match="one model, or if these are, name it: NAME=path"):
        read_results(paths)
    assert read_results({"mine": paths}).name == "mine"
