"""The command line: from sources to an estimate, on logs that the harness wrote."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchpred_utils.evaluate.cli import main

LOGS = Path(__file__).resolve().parents[2] / "book" / "logs"


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Runs a command in a folder with the logs: its exit code and what it says."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(LOGS, "logs")

    def run(line):
        code = main(line.split())
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def tables(run, matrix):
    frame = pd.DataFrame(matrix, columns=[f"q{i}" for i in range(60)]).rename(lambda i: f"m{i}")
    frame.iloc[:-1].rename_axis("model").to_csv("sources.csv")
    frame.iloc[-1].rename("score").rename_axis("item").to_csv("all.csv")
    return matrix[-1].mean()


def test_one_round_with_the_harness(run):
    """items, lm_eval --samples (run when the logs were made), estimate."""
    code, said, _ = run(
        "items logs/sources --metric acc --budget 12 --one-round --seed 1 --session s.json "
        "--samples x.json"
    )
    assert code == 0 and len(said.split()) == 12
    asked = json.loads(Path("x.json").read_text())
    assert asked == json.loads(Path("logs/samples.json").read_text()) and asked["sums"] == sorted(
        asked["sums"]
    )
    code, said, _ = run("estimate logs/target --session s.json --json")
    found = json.loads(said)
    assert (
        code == 0
        and found["n"] == 12
        and found["lower"] < found["value"] < found["upper"]
        and found["done"]
    )


def test_results_under_wrong_numbers_are_told(run):
    """As the harness writes them when the list of --samples does not ascend."""
    run("items logs/sources --metric acc --budget 12 --one-round --seed 1 --session s.json")
    log = next(Path("logs/target").rglob("*.jsonl"))
    lines = (
        log.read_text()
        .replace('"doc_id": 0,', '"doc_id": -1,')
        .replace('"doc_id": 2,', '"doc_id": 0,')
    )
    log.write_text(lines.replace('"doc_id": -1,', '"doc_id": 2,'))
    code, _, said = run("estimate logs/target --session s.json")
    assert code == 1 and "2 items are not the same question in all" in said
    assert run("estimate logs/target --session s.json --same-items")[0] == 0


def test_one_round_takes_its_results_in_parts(run, tables):
    said = run("items sources.csv --budget 9 --one-round --seed 1 --session s.json")[1]
    everything = pd.read_csv("all.csv").set_index("item")
    for part in (said.split()[:2], said.split()[2:]):
        everything.loc[part].to_csv("part.csv")
        code, words, _ = run("estimate part.csv --session s.json")
        assert code == 0 and ("7 of the 9 items lack a result" in words) == (len(part) == 2)
    assert "cross-fitted: it holds if these items were drawn uniformly at random" in words
    assert run("items sources.csv --budget 9 --seed 1 --session t.json --method aipw_cross_fitted")
    assert json.loads(run("estimate all.csv --session t.json --json")[1]) == json.loads(
        run("estimate part.csv --session s.json --json")[1]
    )


def test_a_method_without_an_interval(run, tables):
    run("items sources.csv --budget 9 --method lasso --seed 1 --session s.json")
    found = json.loads(run("estimate all.csv --session s.json --json")[1])
    assert found["done"] and found["lower"] is None and found["ess"] is None
    assert found["imputed"] is None
    assert "no interval: lasso gives none" in run("estimate all.csv --session s.json")[1]


def test_in_rounds(run, tables):
    everything = pd.read_csv("all.csv").set_index("item")
    code, said, _ = run("items sources.csv --budget 20 --seed 1 --session s.json")
    calls = 0
    while said.strip():
        assert run("items --session s.json")[1] == said  # the same until they are recorded
        everything.loc[said.split()].to_csv("round.csv")
        code, said, _ = run("estimate round.csv --session s.json")
        assert code == 0 and ("not unbiased" in said) == (calls == 9)
        calls, said = calls + 1, run("items --session s.json")[1]
    found = json.loads(run("estimate round.csv --session s.json --json")[1])
    said = run("estimate round.csv --session s.json")[1]
    clause = "with forecasts for the items not run: often closer, but not unbiased"
    assert f"({found['imputed']:.3f} {clause}); 20 of 60 items" in said
    assert calls == 10 and found["n"] == 20 and found["done"]
    run("items sources.csv --budget 20 --seed 1 --session t.json")
    assert (
        json.loads(run("estimate all.csv --session t.json --json")[1]) == found
    )  # the file of all serves every round


def test_in_as_many_rounds_as_are_wanted(run, tables):
    said = run("items sources.csv --budget 20 --rounds 3 --seed 1 --session s.json")[1]
    assert len(said.split()) == 4
    pd.read_csv("all.csv").set_index("item").loc[said.split()].to_csv("round.csv")
    assert "next: 7 more items" in run("estimate round.csv --session s.json")[1]
    assert len(run("items sources.csv --budget 20 --rounds 1 --session t.json")[1].split()) == 20


def test_by_precision(run, tables):
    run("items sources.csv --precision 0.1 --seed 1 --session s.json")
    found = json.loads(run("estimate all.csv --session s.json --json")[1])
    assert found["upper"] - found["lower"] <= 0.2 + 1e-9 and found["done"]


def test_the_price_of_one_round_is_what_the_help_says(capsys):
    """About an eighth: the mean over benchmarks and kinds of targets in the stored run, n = 50."""
    runs = pytest.importorskip("benchpred_book.runs")
    try:
        of = runs.load("frontier")["models"].query("asked == 50 and split != 'few_sources'")
    except runs.StaleRun as stale:
        pytest.skip(str(stale))
    width = of.groupby(["split", "benchmark", "method"]).width.mean().unstack()
    ratio = np.exp(np.log(width["aipw_cross_fitted"] / width["sequential_stratification"]).mean())
    with pytest.raises(SystemExit):
        main(["items", "--help"])
    assert (
        "about an eighth wider" in " ".join(capsys.readouterr().out.split()) and 1.1 < ratio < 1.15
    )


def test_without_a_session(run, tables):
    found = json.loads(run("estimate all.csv --sources sources.csv --json")[1])
    assert found["value"] == pytest.approx(tables) and found["lower"] == pytest.approx(
        found["upper"]
    )
    everything = pd.read_csv("all.csv")
    everything.head(20).to_csv("first.csv", index=False)
    assert "no random sample" in run("estimate first.csv --sources sources.csv")[1]
    everything.sample(20, random_state=1).to_csv("some.csv", index=False)
    code, said, _ = run("estimate some.csv --sources sources.csv")
    assert code == 0 and "20 of 60 items" in said and "no random sample" not in said
    assert run("estimate some.csv --sources sources.csv")[1] == said


def test_a_session_moves_with_its_sources(run, tables):
    said = run("items sources.csv --budget 20 --session s.json")[1]
    Path("there").mkdir()
    for name in ("sources.csv", "s.json"):
        shutil.move(name, f"there/{name}")
    assert run("items --session there/s.json")[1] == said


def test_check(run, tables):
    code, said, _ = run("check sources.csv all.csv")
    assert code == 0 and "29 models x 60 items; scores 0 or 1" in said
    assert run("check logs/sources --metric acc")[0] == 0


@pytest.mark.parametrize(
    "line, says",
    [
        ("check logs/sources", "say which: metric='acc' or 'acc_norm'"),
        ("check nowhere.csv", "nowhere.csv is not there"),
        ("items --session s.json", "to begin it give SOURCES .*and --budget N or --precision H"),
        ("items sources.csv --budget 100 --session s.json", "budget is 100"),
        (
            "items sources.csv --precision 0.1 --one-round --session s.json",
            "--one-round, .*draws all items at once: it goes with --budget",
        ),
        (
            "items sources.csv --precision 0.1 --rounds 3 --session s.json",
            "rounds is 3, but with a precision",
        ),
        ("items sources.csv --budget 9 --session s.json --samples x.json", "is not TASK:NUMBER"),
        ("items --session all.csv", "all.csv is not a session"),
        (
            "estimate logs/target --sources sources.csv --metric acc",
            "no result is of an item of the sources",
        ),
        ("estimate bad.csv --sources sources.csv", "row 2: .*divide percentages"),
        (
            "estimate round.csv --session nowhere.json",
            "nowhere.json is not a session, or not there; `items` begins one",
        ),
        (
            "items sources.csv --budget 9 --rounds 2 --method aipw --session s.json",
            "all items at once",
        ),
    ],
)
def test_what_is_wrong_is_said_without_a_traceback(run, tables, line, says):
    run("items sources.csv --budget 9 --one-round --session one.json")
    pd.read_csv("all.csv").head(2).to_csv("round.csv", index=False)
    Path("bad.csv").write_text("item,score\nq1,55\n")
    code, _, said = run(line)
    assert code == 1 and said.startswith("error: ") and "Traceback" not in said
    assert re.search(says, said)


def test_an_older_list_of_one_round_goes_on(run, tables):
    asked = run("items sources.csv --budget 9 --one-round --seed 1 --session s.json")[1]
    sources = json.loads(Path("s.json").read_text())["sources"]
    old = {"format": "one round", "items": asked.split(), "sources": sources}
    Path("old.json").write_text(json.dumps(old))
    assert run("items --session old.json")[1] == asked
    found = run("estimate all.csv --session s.json --json")
    assert found[0] == 0 and run("estimate all.csv --session old.json --json") == found
    assert run("estimate all.csv --session old.json --json") == found


def test_results_of_another_model_spoil_nothing(run, tables):
    asked = run("items sources.csv --budget 20 --seed 1 --session s.json")[1].split()
    everything = pd.read_csv("all.csv").set_index("item")
    everything.loc[asked].to_csv("round.csv")
    run("estimate round.csv --session s.json")
    before = Path("s.json").read_text()
    (1 - everything).to_csv("other.csv")
    code, _, said = run("estimate other.csv --session s.json")
    assert code == 1 and "has the result" in said and Path("s.json").read_text() == before


def test_a_changed_result_is_refused_and_nothing_is_lost(run, tables):
    run("items sources.csv --budget 20 --seed 1 --session s.json")
    found = json.loads(run("estimate all.csv --session s.json --json")[1])
    changed = pd.read_csv("all.csv")
    changed["score"] = 1 - changed["score"]
    changed.to_csv("changed.csv", index=False)
    code, _, said = run("estimate changed.csv --session s.json")
    assert code == 1 and "has the result" in said
    assert json.loads(run("estimate all.csv --session s.json --json")[1]) == found


def test_items_named_by_numbers_alone(run):
    frame = (
        pd.DataFrame(np.eye(24)[:5], columns=range(24))
        .rename(lambda i: f"m{i}")
        .rename_axis("model")
    )
    frame.to_csv("plain.csv")
    code, said, _ = run(
        "items plain.csv --budget 12 --one-round --seed 1 --session p.json --samples x.json "
        "--task sums"
    )
    assert code == 0 and list(json.loads(Path("x.json").read_text())) == ["sums"]
    assert run("estimate logs/target --sources plain.csv --metric acc")[0] == 0  # sums:7 is 7


def test_the_command_line_itself(capsys):
    two = ["items", "x.csv", "--session", "s.json", "--method", "lasso", "--one-round"]
    many, usage = (
        ["items", "--session", "s.json", "--budget", "many"],
        (["--help"], ["items", "--help"]),
    )
    for line, code in (
        *((line, 0) for line in usage),
        (["estimate", "x.csv"], 2),
        ([], 2),
        (two, 2),
        (many, 2),
    ):
        with pytest.raises(SystemExit) as ended:
            main(line)
        assert ended.value.code == code
    said = capsys.readouterr()
    assert (
        "lm_eval" in said.out
        and "'many' is neither a number of items, such as 50, nor a fraction" in said.err
    )


def test_an_estimate_beyond_one_is_shown_as_one_and_said(run):
    """The difference estimator is unbiased because it may leave [0, 1]."""
    sources = [f"logs/sources/adder-0{k}00" for k in (1, 2, 4)]
    run(f"items {' '.join(sources)} --metric acc --budget 10 --seed 3 --session s.json")
    found = json.loads(run("estimate logs/sources/adder-0800 --session s.json --json")[1])
    said = run("estimate logs/sources/adder-0800 --session s.json")[1]
    assert (
        found["value"] > 1
        and said.startswith("1.000, from")
        and f"unbiased estimate is {found['value']:.3f}" in said
    )
