"""Formats: results of every kind of tool come back as they are, or are refused with the reason.

The logs in formats/ were written by inspect_ai 0.3.285 and lm_eval 0.4.13, on tasks of our own and
with models that only pretend; files of other tools are written here, after theirs.
"""

import gzip
import json
import os
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchpred_utils.evaluate.cli import main
from benchpred_utils.evaluate.readers import (
    among,
    per_task,
    printable,
    read_any,
    read_lm_eval,
    read_results,
    read_scores,
)

WRITTEN = Path(__file__).parent / "formats"
NAME = "samples_toy_2025-01-01T00-00-00.000001.jsonl"


def lines_of(metric="acc", n=12, **more):
    """Lines of a log: odd items are right."""
    return [{"doc_id": i, metric: float(i % 2)} | more for i in range(n)]


def written(path, content):
    """A file of JSON lines, or of JSON where the content is no list of lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    is_lines = path.suffix == ".jsonl"
    text = "".join(json.dumps(line) + "\n" for line in content) if is_lines else json.dumps(content)
    path.write_text(text)
    return path


# --- gaps ---


@pytest.fixture
def gaps(tmp_path):
    """8 models, 120 items; H lacks 45 of the 60 hard ones."""
    rng = np.random.default_rng(3)
    rows = [
        (
            model,
            f"q{i}",
            int(rng.random() < (0.85 if i < 60 else 0.4)),
            "hard" if i > 59 else "easy",
        )
        for model in "ABCDEFGH"
        for i in range(120)
        if model != "H" or i < 60 or i % 4 == 0
    ]
    frame = pd.DataFrame(rows, columns=["model", "item", "score", "domain"])
    frame.to_csv(tmp_path / "long.csv", index=False)
    frame.pivot(index="model", columns="item", values="score").to_csv(tmp_path / "wide.csv")
    return tmp_path


def test_what_dropping_does_is_said(gaps):
    with pytest.raises(ValueError) as told:
        read_any(gaps / "long.csv")
    assert "H lacks 45 of 120 items: q61, q62, q63, and 42 more" in str(told.value)
    assert "dropped are 45 (45 of 60 of hard)" in str(told.value)
    assert "--missing drop-models leaves 7 models x 120 items" in str(told.value)
    assert "without H alone, drop leaves 120 items" in str(told.value)
    for name in ("long.csv", "wide.csv"):
        with pytest.warns(UserWarning, match="8 models x 75 items: .*\n.*H lacks 45 of 120"):
            assert read_any(gaps / name, missing="drop").n_items == 75
        with pytest.warns(UserWarning, match="7 models x 120 items"):
            assert read_any(gaps / name, missing="drop-models").n_items == 120
    full = pd.read_csv(gaps / "wide.csv").drop(columns="model")
    rest = full.loc[:, full.notna().all()]
    means = f"{full.mean().mean():.3f} with them, {rest.mean().mean():.3f} without"
    with pytest.warns(UserWarning, match=f"the mean score is {means}"):
        read_scores(gaps / "wide.csv", missing="drop")


def test_no_number_in_a_log_is_a_missing_score(tmp_path):
    lines = lines_of()
    lines[3]["acc"] = float("nan")
    for model in "ABC":
        written(tmp_path / "nan" / model / NAME, lines)
    with pytest.raises(ValueError, match=r"A lacks 1 of 12 items: toy:3 \(.*jsonl, line 4\)"):
        read_any(tmp_path / "nan")
    with pytest.warns(UserWarning, match="3 models x 11 items.*\n.*A lacks 1 of 12 items: toy:3"):
        assert read_any(tmp_path / "nan", missing="drop").n_items == 11
    with pytest.warns(UserWarning, match="line 4: 1 of 12 items have no score: toy:3"):
        assert read_results(tmp_path / "nan" / "A")["toy:3"] is None
    lines.insert(4, {"doc_id": 3, "acc": 1.0})
    path = written(tmp_path / "two" / NAME, lines)
    with pytest.raises(ValueError, match=r"item toy:3: nan \(.*, line 4\) and 1 \(.*, line 5\)"):
        read_any(path)


def test_numbers_written_in_two_ways_are_one_score(tmp_path):
    lines = [{"doc_id": 0, "acc": "0"}, {"doc_id": 1, "acc": 1}, {"doc_id": 0, "acc": "0.0"}]
    path = written(tmp_path / NAME, [line | {"filter": "none"} for line in lines])
    assert read_results(path).to_dict() == {"toy:0": 0, "toy:1": 1}


# --- tasks, metrics, filters ---


@pytest.fixture
def two_tasks(tmp_path):
    for model in "AB":
        lines = lines_of("exact_match", filter="strict-match")
        other = [line | {"filter": "flexible", "exact_match": 1.0} for line in lines[:10]]
        other += [line | {"filter": "flexible", "exact_match": 0.0} for line in lines[10:]]
        written(tmp_path / model / NAME.replace("toy", "gsm8k"), lines + other)
        written(tmp_path / model / NAME.replace("toy", "anatomy"), lines_of())
    return tmp_path


def test_a_metric_and_a_filter_per_task(two_tasks):
    scores = read_any(two_tasks, filter="strict-match")
    assert scores.values.shape == (2, 24) and (scores.accuracy == 0.5).all()
    scores = read_any(two_tasks, {"anatomy": "acc", "gsm8k": "exact_match"}, {"gsm8k": "flexible"})
    assert scores.values[0][scores.domains == "gsm8k"].sum() == 10
    assert read_any(two_tasks, "acc", "flexible").accuracy[0] == pytest.approx(16 / 24)
    for option, says in (
        ({}, "gsm8k.* has 2 filters; say which: filter='flexible' or 'strict-match'"),
        ({"filter": {"gsm8k": "strict"}}, "gsm8k.* has no filter 'strict'; say which"),
        ({"filter": "strict-match", "metric": "f1"}, "no metric 'f1'; say which: metric='acc'"),
        ({"filter": "strict-match", "metric": {"anatomy": "f1"}}, "anatomy.* no metric 'f1'"),
    ):
        with pytest.raises(ValueError, match=says):
            read_any(two_tasks, **option)


@pytest.mark.parametrize("what", ["metric", "filter"])
def test_a_task_that_no_file_has_is_told(two_tasks, what):
    choice = {"metric": {"gsm8k": "exact_match"}, "filter": {"gsm8k": "flexible"}}
    choice[what] = choice[what] | {"gsm9k": "acc"}
    says = rf"no file has a task gsm9k \({what}\); there are anatomy, gsm8k"
    for read in (read_any, read_results):
        with pytest.raises(ValueError, match=says):
            read(two_tasks if read is read_any else two_tasks / "A", **choice)


def test_what_is_wanted_of_logs_does_not_concern_tables(two_tasks):
    table = two_tasks / "t.csv"
    table.write_text("item,score\nanatomy:1,1\n")
    results = read_results(table, metric="acc", filter="strict-match", sources=two_tasks)
    assert results.to_dict() == {"anatomy:1": 1}


def test_all_tasks_that_are_not_clear_are_listed(tmp_path):
    for task in ("a", "b"):
        written(tmp_path / NAME.replace("toy", task), lines_of(acc_norm=1.0))
    with pytest.raises(ValueError, match="_a_.* has 2 metrics.*\n.*_b_.* has 2 metrics"):
        read_any(tmp_path)


def test_a_choice_is_not_handed_from_one_log_to_the_next(tmp_path):
    one = written(tmp_path / "A" / NAME, lines_of())
    two = written(tmp_path / "B" / NAME, lines_of(acc_norm=1.0))
    for paths in ([one, two], [two, one]):
        with pytest.raises(ValueError, match="2 metrics; say which: metric='acc' or 'acc_norm'"):
            read_any(paths)
        assert read_any(paths, metric="acc").n_items == 12
    with pytest.raises(ValueError, match="2 metrics"):
        read_results(two, sources=[one])


@pytest.mark.parametrize(
    "text, names",
    [
        (None, None),
        ("acc", "acc"),
        ("a=acc, b = f", {"a": "acc", "b ": " f"}),
        ("a=acc,b=exact_match", {"a": "acc", "b": "exact_match"}),
    ],
)
def test_an_option_names_tasks(text, names):
    assert per_task(text) == names


@pytest.mark.parametrize(
    "metric, score",
    [
        ("f1", [0, 1]),
        ("mcc", [1, 1]),
        ("bleu", ["a", "b"]),
        ("ter", ["a", "b"]),
        ("perplexity", -0.1),
        ("byte_perplexity", [-300.5, 700]),
        ("brier_score", [0, [0.3, 0.7]]),
        ("bypass", 999),
        ("inst_level_strict_acc", [True, False]),
    ],
)
def test_what_is_no_mean_of_items_is_refused(tmp_path, metric, score):
    log = written(tmp_path / NAME, lines_of(**{metric: score, "metrics": ["acc", metric]}))
    assert read_any(log).accuracy == 0.5  # acc is the only metric that items have
    with pytest.raises(
        ValueError, match=rf"line 1: .*not a number.*; {metric} is no score of.*another"
    ):
        read_any(log, metric=metric)


def test_lists_are_repeats_where_they_are_scores(tmp_path):
    log = written(tmp_path / "a" / NAME, lines_of(exact=[1, 0, 1]))
    assert read_any(log, metric="exact").accuracy == pytest.approx(2 / 3)
    of_unknown = lines_of(own=[1, 0])  # repeats, or the key and the prediction: who knows?
    with pytest.raises(ValueError, match=r"line 1: .* is \[1, 0\], .*own is no score of the item"):
        read_any(written(tmp_path / "b" / NAME, of_unknown), metric="own")
    assert read_any(tmp_path / "b").accuracy == 0.5  # acc is the only metric that items have
    assert read_any(written(tmp_path / "c" / NAME, lines_of("f1")), metric="f1").accuracy == 0.5
    with pytest.raises(ValueError, match=r"item toy:0 is .*'idx': 0.*, which is not a number"):
        read_any(written(tmp_path / "d" / NAME, lines_of(x=[{"idx": 0}, 1])), metric="x")


# --- the layouts of lm-evaluation-harness ---


def layouts(folder):
    """One log in every layout, each in a folder of the model A."""
    lines = lines_of(doc_hash="a", target_hash="t", target="0")
    text = "".join(json.dumps(line) + "\n" for line in lines)
    for name, content in {
        f"v043/A/{NAME}": text,
        "v040/A/samples_toy.jsonl": json.dumps(lines, indent=2),
        "v040args/A/samples_toy.jsonl": text,
        f"gz/A/{NAME}.gz": gzip.compress(text.encode()),
        "v03/A/toy_write_out_info.json": json.dumps(
            [
                {"doc_id": i, "prompt_0": "", "logit_0": -1.0, "truth": "1", "acc": f"{i % 2}.0"}
                for i in range(12)
            ]
        ),
        "v03dict/A/toy_write_out_info.json": json.dumps(
            {str(i): {"doc_id": i, "gold": "1", "acc": f"{i % 2}.0"} for i in range(12)}
        ),
    }.items():
        path = folder / name
        path.parent.mkdir(parents=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        yield path


def test_every_layout_of_the_harness(tmp_path):
    for path in layouts(tmp_path):
        for named in (path, path.parent.parent):
            scores = read_any(named)
            assert scores.models.tolist() == ["A"] and scores.accuracy == 0.5
            assert scores.items.tolist() == [f"toy:{i}" for i in range(12)]


def test_the_names_of_the_first_release(tmp_path):
    for model in ("x", "y"):
        written(tmp_path / f"pretrained__{model},dtype__float_arc_easy.jsonl", lines_of())
    scores = read_any(tmp_path)
    assert scores.models.tolist() == ["pretrained__x,dtype__float", "pretrained__y,dtype__float"]
    assert scores.items[0] == "arc_easy:0"


def test_filters_without_names_are_counted(tmp_path):
    lines = [{"doc_id": i, "exact_match": float(i % 3 == 0)} for i in range(12)]
    both = written(tmp_path / "A" / NAME, lines + lines_of("exact_match"))
    with pytest.raises(ValueError, match="2 filters; say which: filter='1' or '2'"):
        read_any(both)
    assert read_any(both, filter="1").accuracy == pytest.approx(1 / 3)
    assert read_any(both, filter="2").accuracy == 0.5
    cut = written(tmp_path / "B" / NAME, lines + lines[:5])
    with pytest.raises(ValueError, match="2 filters"):
        read_any(cut)


def test_models_in_one_folder_are_named_by_their_results(tmp_path):
    for hour, model in (("01", "org/x"), ("02", "org/y")):
        time = f"2025-01-01T{hour}-00-00.000001"
        written(tmp_path / f"samples_toy_{time}.jsonl", lines_of())
        written(tmp_path / f"results_{time}.json", {"model_name": model, "results": {}})
    assert read_any(tmp_path).models.tolist() == ["org/x", "org/y"]
    older = written(tmp_path / "old" / NAME, lines_of())
    written(older.with_name("results_2024.json"), {"results": {}})  # which name no model
    assert read_any(older).models.tolist() == ["old"]
    results = tmp_path / "results_2025-01-01T02-00-00.000001.json"
    written(results, {"model_name": ""})  # as of an endpoint that was given no name
    assert read_any(tmp_path / "samples_toy_2025-01-01T02-00-00.000001.jsonl").models.tolist() == [
        tmp_path.name
    ]


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_logs_of_two_models_with_one_name_are_told(tmp_path, score):
    """Two checkpoints, say; whether their scores differ or not."""
    for hour, name in (("01", "ck1"), ("02", "ck2")):
        time = f"2025-01-01T{hour}-00-00.000001"
        lines = [*lines_of(), {"doc_id": 12, "acc": score if name == "ck1" else 1.0}]
        written(tmp_path / name / f"samples_toy_{time}.jsonl", lines)
        written(tmp_path / name / f"results_{time}.json", {"model_name": "org/x"})
    paths = [tmp_path / "ck1", tmp_path / "ck2"]
    for given in (paths, tmp_path):
        with pytest.warns(UserWarning) as told:
            assert read_any(given).models.tolist() == ["org/x"]
        said = str(told[0].message)
        assert len(told) == 1 and said.startswith("org/x: some items were run more than once")
        assert "ck1" in said and "ck2" in said and "name=path" in said
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_any(dict(zip("ab", paths))).models.tolist() == ["a", "b"]


def test_rounds_of_a_run_are_one_model(tmp_path):
    """Each has a log of its own, and no item comes twice: nothing to tell."""
    lines = lines_of()
    written(tmp_path / "A" / NAME, lines[:5])
    written(tmp_path / "A" / NAME.replace("T00", "T01"), lines[5:])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_results(tmp_path / "A")) == 12


def test_logs_that_lm_eval_wrote():
    scores = read_any(WRITTEN / "lm_eval", filter={"my_sums": "flexible"})
    assert scores.items[0] == "my_sums:0" and scores.n_items == 24
    model = json.loads(next((WRITTEN / "lm_eval").rglob("results_*")).read_text())["model_name"]
    assert scores.models.tolist() == [model]
    of_pairs = scores.values[0][scores.domains == "pairs"].mean()
    assert of_pairs == 0.25  # as the harness printed it


# --- other tools ---


def sample_of(number, epoch, value, **more):
    scores = {"exact": {"value": value, "answer": "7", "metadata": {"value": 3}}}
    return {"id": number, "epoch": epoch, "input": "?", "target": "7", "scores": scores} | more


def eval_log(path, samples):
    """A log of inspect_ai: JSON, or an archive as older versions packed it."""
    head = {"version": 2, "status": "success", "eval": {"task": "t", "model": "m/x"}, "error": None}
    if path.suffix == ".json":
        path.write_text(json.dumps(head | {"samples": samples}))
        return path
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("_journal/start.json", json.dumps(head))
        archive.writestr("summaries.json", "[]")
        for sample in samples:
            name = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            archive.writestr(name, json.dumps(sample))
        archive.writestr("header.json", json.dumps(head))
    return path


@pytest.mark.parametrize("name", ["log.json", "log.eval"])
def test_logs_of_inspect_ai(tmp_path, name):
    samples = [
        sample_of(1, 1, "C"),
        sample_of(1, 2, "I"),
        sample_of(2, 1, "P"),  # the second epoch has fewer samples
        sample_of("q-3", 1, None, scores={}, error={"message": "refused"}),
        sample_of(4, 1, "N"),
        sample_of(5, 1, 0.25),
        sample_of(6, 1, True),
    ]
    log = eval_log(tmp_path / name, samples)
    with pytest.warns(UserWarning, match="1 of 6 items have no score: t:q-3"):
        results = read_results(log)
    known = {"t:1": 0.5, "t:2": 0.5, "t:4": 0, "t:5": 0.25, "t:6": 1, "t:q-3": None}
    assert results.to_dict() == known and results.name == "m/x"
    samples[1]["scores"] = samples[0]["scores"]
    again = eval_log(tmp_path / f"again-{name}", samples)
    with pytest.warns(UserWarning) as told:  # the two logs, and what both lack
        assert read_results([log, again])["t:1"] == 0.75
    assert len(told) == 2


def test_scorers_of_inspect_ai(tmp_path):
    two = {"exact": {"value": {"a": 1, "b": "I"}}, "other": {"value": "C"}}
    log = eval_log(tmp_path / "log.json", [sample_of(1, 1, 0, scores=two)])
    with pytest.raises(ValueError, match="say which: metric='exact/a' or 'exact/b' or 'other'"):
        read_results(log)
    assert read_results(log, metric="exact/b").to_dict() == {"t:1": 0}
    assert read_results(log, metric="other").to_dict() == {"t:1": 1}
    log.write_text(log.read_text().replace('"I"', '"maybe"'))
    with pytest.raises(ValueError, match="item t:1 is maybe, which is not a number"):
        read_results(log, metric="exact/b")


def test_logs_that_inspect_ai_wrote():
    log = WRITTEN / "inspect_ai" / "doubles.json"
    assert read_results(log, metric="exact").to_dict() == {f"doubles:{i}": 1 for i in range(1, 5)}
    log = log.with_suffix(".eval")
    pytest.importorskip("zipfile_zstd", reason="reads what inspect_ai packs")
    results = read_results(log, metric="closeness")
    assert results.to_dict() == pytest.approx(
        {"doubles:1": 1, "doubles:2": 1, "doubles:3": (1 + 1 / 7) / 2, "doubles:4": 1}
    )


def test_what_zipfile_cannot_unpack_is_told(monkeypatch, tmp_path):
    def unknown(*_):
        raise NotImplementedError

    log = eval_log(tmp_path / "log.eval", [sample_of(1, 1, "C")])
    monkeypatch.setattr(zipfile.ZipFile, "read", unknown)
    with pytest.raises(ImportError, match="zipfile-zstd.*inspect log convert --to json") as told:
        read_any(log)
    assert "arquet" not in str(told.value)


def record_of(item, score, **more):
    return {
        "schema_version": "instance_level_eval_0.2.1",
        "model_id": "org/x",
        "evaluation_name": "GSM8K",
        "sample_id": item,
        "sample_hash": f"h{item}",
        "evaluation": {"score": score, "is_correct": bool(score)},
    } | more


def others(folder):
    """(file, options, the model, the results) of tools that are not imitated above."""
    records = [record_of("a", 1.0), record_of("b", 0.5), record_of("c", 0.0, error="timeout")]
    known = {"GSM8K:a": 1, "GSM8K:b": 0.5, "GSM8K:c": None}
    yield written(folder / "every_samples.jsonl", records), {}, "org/x", known

    base, plus = ("pass", "fail", "pass"), ("pass", "fail", "timeout")
    tests = {
        f"HumanEval/{i}": [{"task_id": f"HumanEval/{i}", "base_status": a, "plus_status": b}]
        for i, (a, b) in enumerate(zip(base, plus))
    }
    tests["HumanEval/0"].append(
        {"task_id": "HumanEval/0", "base_status": "fail", "plus_status": None}
    )
    path = written(folder / "m_eval_results.json", {"date": "", "hash": "", "eval": tests})
    known = {"HumanEval/0": 0.5, "HumanEval/1": 0, "HumanEval/2": 1}
    yield path, {"metric": "base_status"}, "m", known
    yield (
        path,
        {"metric": "plus_status"},
        "m",
        {"HumanEval/0": 1, "HumanEval/1": 0, "HumanEval/2": 0},
    )

    big = {
        f"B/{i}": [{"task_id": f"B/{i}", "status": word, "details": {}}]
        for i, word in enumerate(("pass", "fail"))
    }
    path = written(folder / "n-o" / "eval_results.json", {"date": "", "eval": big})
    yield path, {}, "n-o", {"B/0": 1, "B/1": 0}

    report = {
        "total_instances": 5,
        "submitted_ids": ["a", "b", "c", "d"],
        "resolved_ids": ["a"],
        "unresolved_ids": ["b"],
        "empty_patch_ids": ["c"],
        "error_ids": ["d"],
        "incomplete_ids": ["e"],
        "schema_version": 2,
    }
    path = written(folder / "gpt-4.1.run1.json", report)
    yield path, {}, "gpt-4.1", {"a": 1, "b": 0, "c": 0, "d": None}

    for item, resolved in (("x__x-1", True), ("x__x-2", False)):
        report = {item: {"patch_exists": True, "resolved": resolved, "tests_status": {"a": {}}}}
        written(folder / "logs" / "run" / "model_m" / item / "report.json", report)
    yield folder / "logs", {}, "model_m", {"x__x-1": 1, "x__x-2": 0}

    details = {str(i): {"predictions": "", "correct": i == 1} for i in range(3)} | {"type": "GEN"}
    path = written(folder / "oc" / "qwen" / "arc_c.json", {"accuracy": 33.3, "details": details})
    yield path, {}, "qwen", {"arc_c:0": 0, "arc_c:1": 1, "arc_c:2": 0}
    details = [{"example_abbr": "a_0", "is_correct": [True, False]}, {"is_correct": [True, True]}]
    path = written(folder / "oc2" / "qwen" / "arc_c.json", {"accuracy": 75.0, "details": details})
    yield path, {}, "qwen", {"arc_c:0": 0.5, "arc_c:1": 1}

    answers = [
        {
            "question_id": 70 + i,
            "question": "?",
            "options": ["1"],
            "answer": "A",
            "category": "law",
            "pred": pred,
        }
        for i, pred in enumerate(("A", "B", None))
    ]
    known = {"law:70": 1, "law:71": 0, "law:72": 0}
    for path, model in (
        ("pro/gpt/CoT/all/law.json", "gpt"),
        ("pro/gpt2/law_result.json", "gpt2"),
        ("pro/any/model_outputs_gpt.json", "model_outputs_gpt"),
    ):
        yield written(folder / path, answers), {}, model, known


def test_files_of_other_tools(tmp_path):
    for path, options, model, known in others(tmp_path):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            results = read_results(path, **options)
            below = (
                read_results(path.parent, **options)
                if path.is_file() and path.parent != tmp_path
                else results
            )
        assert results.to_dict() == known and results.name == model, path
        assert below.to_dict() == known, path
    with pytest.raises(ValueError, match="2 metrics; say which: metric='base_status'"):
        read_any(tmp_path / "m_eval_results.json")


# --- tables in the usual shapes ---


@pytest.mark.parametrize(
    "name, text",
    [
        (
            "t.json",
            '[{"model": "A", "item": "q0", "score": 0}, {"model": "A", "item": "q1", "score": 1}]',
        ),
        ("t.json", '{"A": {"q0": 0, "q1": 1}}'),
        ("A.jsonl", '{"id": "q0", "correct": false}\n{"id": "q1", "correct": true}\n'),
        ("t.csv", "\ufeffmodel,q0,q1\nA,0,1\n"),
        ("t.csv", ",model,item,score\n0,A,q0,0\n1,A,q1,1\n"),
        ("t.csv", ",model,q0,q1\n0,A,0,1\n"),
        ("t.csv", "item,A\nq0,0\nq1,1\n"),
        ("t.txt", "model\tq0\tq1\nA\t0\t1\n"),
        ("t.json.gz", '{"A": {"q0": 0, "q1": 1}}'),
    ],
)
def test_tables_in_the_usual_shapes(tmp_path, name, text):
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    scores = read_any(path)
    assert scores.models.tolist() == ["A"] and scores.items.tolist() == ["q0", "q1"]
    assert scores.values.tolist() == [[0, 1]]


@pytest.mark.parametrize(
    "text, items",
    [
        ("model,place,b\nm1,1,0\nm2,1,1\n", ["place", "b"]),
        ("model,column,b\nm1,1,0\nm2,1,1\n", ["column", "b"]),
        ("model,question,b\nm1,1,0\nm2,1,1\n", ["question", "b"]),
        ("model,error,filter\nm1,1,0\nm2,1,1\n", ["error", "filter"]),
    ],
)
def test_items_may_have_any_name(tmp_path, text, items):
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert read_scores(path).items.tolist() == items


def test_items_may_be_numbers(tmp_path):
    path = tmp_path / "t.csv"
    for first in ("model", ""):
        path.write_text(f"{first},2,0,1\nm1,1,0,1\nm2,1,1,0\n")
        assert read_scores(path).items.tolist() == ["2", "0", "1"]


def test_a_long_table_has_no_doubtful_columns(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("id,score\nq1,1\nq2,0\n")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert read_any(path).items.tolist() == ["q1", "q2"]


@pytest.mark.parametrize("name", ["average", "score", "params", "Total"])
def test_a_column_that_is_no_item_is_told(tmp_path, name):
    path = tmp_path / "t.csv"
    path.write_text(f"model,q1,q2,{name}\nm1,1,0,0.5\nm2,1,1,1\n")
    with pytest.warns(UserWarning, match=f"read as items: the columns {name.lower()}"):
        assert read_scores(path).n_items == 3


@pytest.mark.parametrize(
    "name, text, says",
    [
        ("t.csv", "q1,q2,q3\n1,0,1\n0,1,1\n", "first column, 'q1', holds scores, .*column `model`"),
        ("t.csv", ",q2,q3\n0.25,0,1\n0.5,1,1\n0.75,1,1\n", "first column, '', holds scores"),
        ("t.csv", "name,model,b\nm1,1,0\nm2,1,1\n", "row 2, column name: .* is m1, which is not"),
        ("t.csv", "m1,1,0\nm2,0,1\n", "row 1, m1, 1, 0, ends with a score: is the header missing?"),
        ("t.csv", "m1,1,0,1\nm2,0,1,1\n", "row 1, m1, 1, 0, 1, ends .* is the header missing?"),
        ("t.csv", "m1,q1,1\nm1,q2,0\n", "is the header missing?"),
        ("t.csv", "q1,True\nq2,False\n", "is the header missing?"),
        ("t.csv", "m1,q1,1,math\nm1,q2,0,math\n", "column q1: .*is the header missing"),
        ("t.csv", "model,q1,q2\nA,C,I\n", "row 2, column q1: .* is C"),
        ("t.csv", "model,q1,q2\nA,pass,1\n", "row 2, column q1: .* is pass"),
        ("t.csv", "model|q1|q2\nA|1|0\n", "separated by commas"),
        ("t.csv", "model;q1;q2\nA;0,5;0\n", "row 2, column q1: .* is 0,5"),
        ("t.csv", "model,q1,q2\nA,50%,1\n", "is 50%, .*divide percentages"),
        ("t.csv", "model,q1,q2\nA,inf,1\n", "is inf"),
        ("t.csv", 'model,item,score\nA,q1,"0,5"\n', "row 2: .* is 0,5"),
        (
            "t.json",
            '{"results": {"acc": 1}, "n": [1]}',
            "with the fields results, n, is of another kind; read are",
        ),
        ("t.json", "[1, 2]", "entry 1 is not JSON as it was written"),
        ("t.json", "[]", "t.json holds no log; read are"),
        (
            "t.json",
            '{"version": 2, "eval": {}}',
            "with the fields version, eval, is of another kind; read are HELM, lm-eval",
        ),
        ("t.jsonl", "[" * 200_000, "line 1 is not JSON"),
        ("t.eval", b"PK\x03\x04", "can't be read: File is not a zip file"),
        ("t.gz", b"\x1f\x8b\x08", "can't be read: "),
        ("t.pdf", b"%PDF\xff\xfe", "line 1 can't be read as a table in UTF-8"),
        ("t.csv", "model,q1\n".encode("utf-16"), "can't be read as a table in UTF-8"),
    ],
)
def test_what_a_file_is_when_it_cannot_be_read(tmp_path, name, text, says):
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=says) as told:
        read_any(path)
    assert str(path) in str(told.value)


def test_a_zip_that_is_no_log(tmp_path):
    path = tmp_path / "t.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "a")
    with pytest.raises(ValueError, match="it is a zip archive, but no log of inspect_ai"):
        read_any(path)


@pytest.mark.parametrize("index", [None, pd.Index(["A", "B"], name="model"), pd.Index([3, 7])])
def test_parquet_with_an_index(tmp_path, index):
    pytest.importorskip("pyarrow")
    frame = pd.DataFrame({"q1": [1, 0], "q2": [0, 1]}, index=index)
    if index is None or index.name is None:
        frame.insert(0, "model", ["A", "B"])
    frame.to_parquet(tmp_path / "t.parquet")
    assert read_any(tmp_path / "t.parquet").models.tolist() == ["A", "B"]
    pd.DataFrame({"q1": [1, 0], "q2": [0, 1], "q3": [0, 1]}).to_parquet(tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="holds scores"):
        read_any(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    "line, says",
    [
        (b'{"doc_id":[1],"acc":1,"metrics":["acc"],"filter":"none"}\n', r"line 1: doc_id is \[1\]"),
        (b'{"doc_id":0,"acc":1}\n{"acc":1}\n', "line 2: doc_id is ''"),
        (b'{"doc_id":0,"acc":1,"metrics":[[1]]}\n', r"line 1: unhashable type.*TypeError"),
        (b'{"doc_id":0,"acc":1}\n\n{"doc_id":1,"doc_hash":"\xff"}\n', "line 3 can't be read"),
    ],
)
def test_faults_in_a_log_are_told_with_their_place(tmp_path, line, says):
    written(tmp_path / "m0" / NAME, lines_of())
    (tmp_path / "m1").mkdir()
    (tmp_path / "m1" / NAME).write_bytes(line)
    with pytest.raises(ValueError, match=f"m1.{NAME}, {says}"):
        read_any(tmp_path)


def test_a_log_in_a_folder_is_not_passed_over(tmp_path):
    written(tmp_path / "m0" / NAME, lines_of())
    written(tmp_path / "m1" / NAME, [{"id": 0, "acc": 1}])
    with pytest.raises(
        ValueError, match="m1.*with the fields id, acc, is of another kind; read are"
    ):
        read_any(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="rights of folders")
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, monkeypatch):
    written(tmp_path / "m1" / NAME, lines_of())
    written(tmp_path / "m2" / NAME, lines_of())
    real = os.scandir

    def scandir(path):
        if Path(path).name == "m2":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)  # rights do not bind the superuser
    with pytest.raises(PermissionError, match="m2"):
        read_any(tmp_path)


# --- items and models ---


def test_twins_in_a_table_are_refused_beside_a_log_too(tmp_path):
    table = tmp_path / "twin.csv"
    table.write_text("model,item,score\nA,t:0,1\nA,t:0,0\nA,t:1,1\n")
    log = written(tmp_path / "B" / NAME.replace("toy", "t"), lines_of(n=2))
    for paths in (table, [table, log]):
        with pytest.raises(ValueError, match=r"two scores on item t:0: 1 \(.*row 2\) and 0"):
            read_any(paths)


def test_another_version_of_a_task_is_refused(tmp_path):
    written(tmp_path / "old" / NAME, lines_of(doc_hash="a"))
    new = written(tmp_path / "new" / NAME, lines_of(doc_hash="b"))
    with pytest.raises(ValueError, match="12 items are not the same question.*--same-items"):
        read_any(tmp_path)
    with pytest.warns(UserWarning, match="12 items are not the same question"):
        assert read_any(tmp_path, same_items=True).n_models == 2
    written(new, lines_of())
    with pytest.warns(UserWarning, match="new.*without hashes, so it can't be checked"):
        read_lm_eval(tmp_path)


def test_results_of_two_tasks_do_not_fall_together(tmp_path):
    numbers = np.array([str(i) for i in range(12)])
    written(tmp_path / "run" / NAME.replace("toy", "a"), lines_of())
    assert among(read_results(tmp_path / "run"), numbers).index.tolist() == numbers.tolist()
    written(tmp_path / "run" / NAME.replace("toy", "b"), lines_of())
    with pytest.raises(ValueError, match="results are of 2 tasks, a, b, but the sources name none"):
        among(read_results(tmp_path / "run"), numbers)
    known = among(read_results(tmp_path / "run"), np.array(["a:1", "b:1", "c:1"]))
    assert known.to_dict() == {"a:1": 1, "b:1": 1}
    with pytest.raises(ValueError, match="toy2:0, say, is none like toy:0"):
        among(pd.Series({"toy2:0": 1.0}), np.array(["toy:0"]))


def test_names_can_be_shown(tmp_path, capsys):
    path = tmp_path / "c.csv"
    path.write_text('model,\x1b[31mred\x1b[0m,"a\nb"\n\x1b]0;title\x07m1,1,0\nm2,1,1\n')
    scores = read_any(path)
    assert scores.items.tolist() == [r"\x1b[31mred\x1b[0m", r"a\nb"]
    assert main(["check", str(path)]) == 0
    assert "\x1b" not in "".join(capsys.readouterr())
    for text in (path.read_text().replace("m1,1", "m1,7"), '{"\\u001b": {"\\u001b[31m": 7}}'):
        path.write_text(text)
        assert main(["check", str(path)]) == 1
        said = "".join(capsys.readouterr())
        assert "\x1b" not in said and r"\x1b" in said
    assert printable("modèle 模型") == "modèle 模型" and printable("a\u202eb") == r"a\u202eb"
    assert printable("x" * 1000).endswith("(1000 characters)") and len(printable("x" * 1000)) < 90


def test_one_huge_name_is_told(tmp_path):
    names = ["x" * 300_000, *(f"q{i}" for i in range(1000))]
    path = tmp_path / "t.csv"
    path.write_text(f"model,{','.join(names)}\nm1,{','.join('1' * 1001)}\n")
    with pytest.raises(ValueError, match=r"xxx... \(300000 characters\) is too long"):
        read_any(path)
