"""The command line: from sources to an estimate, on logs that the harness wrote."""

import json
import os
import re
import shutil
import subprocess
import sys
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
    assert code == 0 and said == "wrote x.json: 12 to run\n"  # and not the items as well
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
    assert f"\n{found['imputed']:.3f} {clause}\n" in said and "; 20 of 60 items" in said
    assert "run them on the same items (benchpred compare)" in said
    assert calls == 10 and found["n"] == 20 and found["done"]
    run("items sources.csv --budget 20 --seed 1 --session t.json")
    assert (
        json.loads(run("estimate all.csv --session t.json --json")[1]) == found
    )  # the file of all serves every round


def test_in_as_many_rounds_as_are_wanted(run, tables):
    said = run("items sources.csv --budget 20 --rounds 3 --seed 1 --session s.json")[1]
    assert len(said.split()) == 4
    pd.read_csv("all.csv").set_index("item").loc[said.split()].to_csv("round.csv")
    assert "next: 7 more to run (benchpred items" in run("estimate round.csv --session s.json")[1]
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
    assert "no random sample" in run("estimate first.csv --sources sources.csv")[2]
    everything.sample(20, random_state=1).to_csv("some.csv", index=False)
    code, said, notes = run("estimate some.csv --sources sources.csv")
    assert code == 0 and "20 of 60 items" in said and "no random sample" not in notes
    assert run("estimate some.csv --sources sources.csv")[1] == said


def test_a_session_moves_with_its_sources(run, tables):
    said = run("items sources.csv --budget 20 --session s.json")[1]
    Path("there").mkdir()
    for name in ("sources.csv", "s.json"):
        shutil.move(name, f"there/{name}")
    assert run("items --session there/s.json")[1] == said


def test_check(run, tables):
    code, said, _ = run("check sources.csv all.csv")
    assert code == 0 and said.startswith("sources.csv, all.csv: scores 0 or 1\n  models: 30 (")
    code, said, _ = run("check logs/sources --metric acc")
    assert code == 0 and "domains" not in said and "missing" not in said
    code, said, _ = run("check all.csv")
    assert code == 0 and "  models: 1 (all)\n  items: 60 (" in said


def test_files_are_checked_together(run, tables):
    """A gap between files, one for each model, is told as `plan` does."""
    table = pd.read_csv("sources.csv").set_index("model")
    for model in ("m0", "m1", "m2"):
        as_run(f"{model}.csv", table.loc[model, "q3" if model == "m1" else "q0" :])
    code, _, said = run("check m0.csv m1.csv m2.csv")
    assert code == 1 and "m1 lacks 3 of 60 items: q0, q1, q2 (" in said and "m1.csv" in said
    assert "--missing drop (in Python missing='drop') leaves 57 items" in said
    assert "--missing drop-models leaves 2 models x 60 items" in said
    code, said, _ = run("check m0.csv m1.csv m2.csv --missing keep")
    assert code == 0 and "missing scores: 3" in said and "scores 0 or 1" in said


def test_tasks_are_named(run, tables):
    frame = pd.read_csv("sources.csv").set_index("model")
    frame.columns = [f"{'ab'[place % 2]}:{place}" for place in range(60)]
    frame.stack().rename_axis(["model", "item"]).rename("score").reset_index().assign(
        domain=lambda rows: rows["item"].str[0]
    ).to_csv("long.csv", index=False)
    assert "tasks or domains: a, b" in run("check long.csv")[1]


@pytest.mark.parametrize(
    "line, says",
    [
        ("check logs/sources", "say which: metric='acc' or 'acc_norm'"),
        ("check nowhere.csv", "nowhere.csv is not there"),
        ("items --session s.json", "to begin it give SOURCES .*and --budget N or --precision H"),
        ("items sources.csv --budget 100 --session s.json", "budget is 100"),
        (
            "items sources.csv --precision 0.1 --one-round --session s.json",
            "aipw_cross_fitted .*(give budget|leave precision out)",
        ),
        (
            "items sources.csv --precision 0.1 --rounds 3 --session s.json",
            "rounds is 3, but with a precision",
        ),
        (
            "items sources.csv --budget 9 --session s.json --samples x.json",
            "is not TASK:NUMBER.* not its doc_ids",
        ),
        ("items --session all.csv", "all.csv is not there, or is no session"),
        (
            "estimate logs/target --sources sources.csv --metric acc",
            "no result is of an item of the sources",
        ),
        ("estimate bad.csv --sources sources.csv", "row 2: .*divide percentages"),
        (
            "estimate round.csv --session nowhere.json",
            "nowhere.json is not there, or is no session, or not whole; `items` begins one",
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
        and said.startswith("accuracy on all items: 1.000, from")
        and f"unbiased estimate is {found['value']:.3f}" in said
    )


# --- plan, compare, report ---


def as_run(path, results):
    results.rename("score").rename_axis("item").to_csv(path)


@pytest.fixture
def two(run, tables):
    """A session of twenty items that is done, and another model's results."""
    run("items sources.csv --budget 20 --seed 1 --session s.json")
    run("estimate all.csv --session s.json")
    everything = pd.read_csv("all.csv").set_index("item")["score"]
    other = everything.copy()
    other.iloc[::4] = 0
    as_run("other.csv", other)
    return everything, other


def test_a_plan(run, tables):
    code, said, _ = run("plan sources.csv --budget 20 --cost 0.5")
    assert code == 0 and "20 of 60 items, 33% of a full run.\nIt costs 10, a full run 30" in said
    assert "Two models on the same 20 items are told apart" in said
    found = json.loads(run("plan sources.csv --budget 20 --difference 0.05 --json")[1])
    assert found["n_items"] == 20 and found["n_compare"] > 40
    few, many = (
        json.loads(run(f"plan sources.csv --budget {n} --json")[1])["smallest_difference"]
        for n in (10, 40)
    )
    assert few > 2 * many
    assert "30 of 1319" in run("plan --of 1319 --budget 30")[1]
    bare = json.loads(run("plan --of 1319 --budget 30 --difference 0.1 --json")[1])
    assert bare["smallest_difference"] is None is bare["cost"] and bare["n_compare"] > 200
    assert "or --of N" in run("plan")[2]


@pytest.mark.data
def test_a_plan_on_sources_of_the_book(run, load):
    load("gsm8k")
    code, said, _ = run("plan --benchmark gsm8k --budget 200 --difference 0.02")
    assert code == 0 and "2 points apart (80% power, 5% level) both must run the same 6" in said
    said = run("items --benchmark gsm8k --budget 20 --seed 1 --session g.json")[1]
    assert said.startswith("gsm8k-") and run("items --session g.json")[1] == said
    assert "no data set 'gsm'" in run("items --benchmark gsm --budget 20 --session h.json")[2]


def test_two_models(run, two):
    everything, other = two
    code, said, _ = run("compare other.csv --session s.json")
    found = json.loads(run("compare other.csv --session s.json --json")[1])
    assert code == 0 and found["n"] == 20 and found["only_b"] == 0
    assert "A, all (s.json)" in said and "B, other (other.csv)" in said and "20 of 60 items" in said
    code, _, said = run("compare other.csv all.csv")
    assert code == 1 and "--of N" in said
    whole = json.loads(run("compare all.csv other.csv --of 60 --json")[1])
    assert whole["value"] == pytest.approx(other.mean() - everything.mean())
    part = everything.sample(20, random_state=1)
    as_run("part.csv", part)
    found = json.loads(run("compare part.csv other.csv --sources sources.csv --json")[1])
    assert found["accuracies"][1] == pytest.approx([other.mean()] * 3) and found["n"] == 20
    assert run("compare other.csv")[0] == 1


def test_items_that_the_other_model_lacks(run, two):
    asked = list(json.loads(Path("s.json").read_text())["results"])
    as_run("part.csv", two[1][asked[2:]])
    code, _, said = run("compare part.csv --session s.json")
    assert code == 1 and "2 of the 20 items lack a result" in said and "--failed wrong" in said
    said = run("compare part.csv --session s.json --failed wrong")[1]
    assert "note: of 20 items A has no result on 0, B on 2; they are counted as wrong" in said
    assert run("report part.csv --session s.json --out page.html --failed wrong")[0] == 0
    assert "counted as wrong" in Path("page.html").read_text()
    low = json.loads(run("compare part.csv --session s.json --failed wrong --json")[1])
    bounds = json.loads(run("compare part.csv --session s.json --failed open --json")[1])
    assert bounds["lower"] == low["lower"] and bounds["upper"] > low["upper"]
    a, b = (accuracy[0] for accuracy in bounds["accuracies"])
    assert bounds["value"] == pytest.approx(b - a)
    models = json.loads(run("compare part.csv all.csv --session s.json --failed open --json")[1])[
        "models"
    ]
    place = models["index"].index("part (part.csv)")
    assert models["lacks"][place] == 2 and models["value"][place] == pytest.approx(b)


def test_a_failed_item_counts_as_wrong_in_a_comparison_too(run, two):
    asked = list(json.loads(Path("s.json").read_text())["results"])
    failed = two[1].astype(float)
    failed[asked[:2]] = np.nan
    as_run("failed.csv", failed)
    code, said, note = run("compare failed.csv --session s.json")
    assert "\nlacks: " in run("compare failed.csv all.csv --session s.json")[1]
    assert "\nlacks: " not in run("compare other.csv all.csv --session s.json")[1]
    assert code == 0 and "B on 2; they are counted as wrong" in said
    assert "they count as wrong, or as --failed says" in note
    wrong = json.loads(run("compare failed.csv --session s.json --failed wrong --json")[1])
    assert json.loads(run("compare failed.csv --session s.json --json")[1]) == wrong
    assert run("report failed.csv --session s.json --out page.html")[0] == 0


def test_several_models(run, two):
    as_run("third.csv", 1 - two[1])
    code, said, _ = run("compare other.csv third.csv --session s.json")
    assert code == 0 and "of 3 pairs are told apart" in said and "third.csv" in said
    found = json.loads(run("compare other.csv third.csv --session s.json --json")[1])
    assert len(found["pairs"]["p"]) == 3 and found["models"]["index"][0] == "all (s.json)"


def test_a_session_with_a_reference(run, two):
    """A source of which all is known: the session's own items, and less of an error."""
    begin = "items sources.csv --budget 20 --seed 1 --session r.json --reference"
    assert "must be one of the source models" in run(f"{begin} m99")[2]
    assert run(f"{begin} m3")[0] == 0
    run("estimate all.csv --session r.json")
    found = json.loads(run("compare --session r.json --json")[1])
    estimate = json.loads(run("estimate all.csv --session r.json --json")[1])
    known = pd.read_csv("sources.csv").set_index("model").loc["m3"].mean()
    assert found["value"] == pytest.approx(estimate["value"] - known)
    assert found["upper"] == pytest.approx(estimate["upper"] - known)
    assert "A, m3" in run("compare --session r.json")[1]


def test_a_report_stands_alone(run, two):
    code, said, _ = run("report other.csv --session s.json --out page.html")
    page = Path("page.html").read_text()
    assert code == 0 and "wrote page.html" in said
    for words in (
        "<h1>all: accuracy from few items",
        "<svg",
        "20 of 60 items",
        "sha256",
        "benchpred-book",
        "other.csv",
        "q",
    ):
        assert words in page
    assert not re.search(r"<script|https?://|src=|@import|url\(", page)
    assert run("report --session s.json --out page.html")[0] == 0  # its own page is written anew
    code, _, said = run("report --session s.json --out all.csv")
    assert code == 1 and "is no report" in said and Path("all.csv").read_text().startswith("item")


def test_a_name_is_no_html(run, tables):
    frame = pd.read_csv("sources.csv").rename(columns={"q1": "<script>alert(1)</script>"})
    frame.to_csv("sources.csv", index=False)
    run("items sources.csv --budget 60 --rounds 1 --session s.json")
    everything = pd.read_csv("all.csv").replace("q1", "<script>alert(1)</script>")
    everything.to_csv("all.csv", index=False)
    run("estimate all.csv --session s.json")
    run("report --session s.json --out page.html")
    assert "<script" not in Path("page.html").read_text()


# --- sessions that are there, files of the user's ---


@pytest.mark.parametrize(
    "more, says",
    [
        ("--budget 9", "begun with budget 20, not 9"),
        ("--seed 2", "begun with seed 1, not 2"),
        ("--rounds 3", "begun without rounds 3"),
        ("--one-round", "begun without method aipw_cross_fitted"),
        ("--missing drop", "begun with missing error, not drop"),
        ("all.csv", r"begun with paths \['sources.csv'\], not \['all.csv'\]"),
    ],
)
def test_options_that_contradict_a_session_are_refused(run, tables, more, says):
    begin = "items sources.csv --budget 20 --seed 1 --session s.json"
    said = run(begin)[1]
    assert run(begin)[1] == said
    code, _, error = run(f"items --session s.json {more}")
    assert code == 1 and re.search(says, error)
    assert run("items --session s.json")[1] == said


@pytest.mark.parametrize("budget", ["1.0", "1.0e400", "0", "-3", "1e2"])
def test_a_budget_that_is_no_number_of_items(run, tables, budget):
    with pytest.raises(SystemExit) as ended:
        run(f"items sources.csv --budget {budget} --session s.json")
    assert ended.value.code == 2 and not Path("s.json").exists()


def test_nothing_of_the_user_is_overwritten(run, tables):
    pd.read_csv("sources.csv").rename(columns=lambda name: name.removeprefix("q")).to_csv(
        "num.csv", index=False
    )
    before = Path("num.csv").read_text()
    begin = "items num.csv --budget 10 --seed 1 --task t --session"
    code, _, said = run(f"{begin} s.json --samples num.csv")
    assert code == 1 and "num.csv is there already" in said and not Path("s.json").exists()
    assert run(f"{begin} t.json --samples t.json")[0] == 1 and not Path("t.json").exists()
    assert run(f"{begin} u.json --samples x.json")[0] == 0
    assert run(f"{begin} u.json --samples x.json")[0] == 0  # its own list
    assert run(f"{begin} u.json --samples u.json")[0] == 1
    assert Path("num.csv").read_text() == before and json.loads(Path("u.json").read_text())["draw"]


def test_lists_for_other_harnesses(run, tables):
    begin = "items sources.csv --budget 10 --seed 1 --session s.json"
    said = run(f"{begin} --sample-id a.txt --instance-ids b.txt --task t")[1]
    names = run("items --session s.json")[1].split()
    assert said.splitlines() == [
        f"wrote {file}: {len(names)} to run" for file in ("a.txt", "b.txt")
    ]
    assert Path("a.txt").read_text() == ",".join(f"t:{name}" for name in names)
    assert Path("b.txt").read_text() == " ".join(names)
    code, _, said = run("items --session s.json --samples x.json")
    assert code == 1 and "lm_eval has no other items" in said and not Path("x.json").exists()


def test_another_metric_than_the_sources_is_refused(run):
    run("items logs/sources --metric acc --budget 12 --one-round --session s.json")
    code, _, said = run("estimate logs/target --session s.json --metric acc_norm")
    assert code == 1 and "begun with metric acc, not acc_norm" in said


def test_where_an_evaluation_stands(run, two):
    found = run("estimate all.csv --session s.json")
    assert run("estimate --session s.json") == found and found[0] == 0
    assert (
        "sources Scores('sources': 29 models x 60 items): 20 items recorded, 0 to run"
        in run("items --session s.json")[2]
    )


def test_all_items_for_another_model(run, two):
    asked = list(json.loads(Path("s.json").read_text())["results"])
    assert run("items --session s.json --all")[1].split() == asked


def test_items_without_a_result(run, tables):
    asked = run("items sources.csv --budget 9 --one-round --seed 1 --session s.json")[1].split()
    everything = pd.read_csv("all.csv").set_index("item")["score"]
    as_run("part.csv", everything[asked[2:]])
    assert json.loads(run("estimate part.csv --session s.json --json")[1])["done"] is False
    open_ = json.loads(run("estimate part.csv --session s.json --failed open --json")[1])
    assert open_["failed"] == 2 and open_["bounds"][0] < open_["bounds"][1]
    wrong = json.loads(run("estimate part.csv --session s.json --failed wrong --json")[1])
    assert wrong["value"] == pytest.approx(open_["bounds"][0])
    said = run("estimate part.csv --session s.json")[1]
    assert "with all of these wrong" in said
    assert f"until they are run again, and recorded with one: {', '.join(asked[:2])}" in said
    as_run("again.csv", everything[asked])
    code, said, note = run("estimate again.csv --session s.json")
    assert code == 0 and "no result" not in said + note


def test_results_that_are_not_new(run, tables):
    """Recorded already, not asked for, or of items that had failed: three cases."""
    asked = run("items sources.csv --budget 20 --seed 1 --session s.json")[1].split()
    everything = pd.read_csv("all.csv").set_index("item")["score"].astype(float)
    lost = everything[asked].copy()
    lost.iloc[0] = np.nan
    as_run("lost.csv", lost)
    as_run("round.csv", everything[asked])
    for file, says in (
        ("lost.csv", ""),
        ("lost.csv", f"{len(asked)} of {len(asked)} are recorded already"),
        ("round.csv", ""),
    ):
        note = run(f"estimate {file} --session s.json")[2]
        assert says in note and ("no result is new" in note) == bool(says)
    as_run("others.csv", everything.drop([*asked, *run("items --session s.json")[1].split()]))
    assert "0 of 5" in run("estimate others.csv --session s.json")[2]


def test_by_task_waits_for_the_end(run, two):
    """What is asked for beside it spoils no round."""
    run("items sources.csv --budget 20 --seed 2 --session t.json")
    pd.read_csv("all.csv").head(9).to_csv("part.csv", index=False)
    assert run("estimate part.csv --session t.json --by task")[0] == 0


def test_two_tasks(run):
    rng = np.random.default_rng(1)
    items = [f"{task}:{number}" for task, n in (("a", 40), ("b", 20)) for number in range(n)]
    frame = pd.DataFrame(rng.integers(0, 2, (9, 60)), columns=items).rename(lambda i: f"m{i}")
    frame.iloc[:-1].rename_axis("model").to_csv("sources.csv")
    as_run("all.csv", frame.iloc[-1])
    run("items sources.csv --budget 30 --seed 1 --tasks mean --session s.json")
    code, said, _ = run("estimate all.csv --session s.json")
    assert code == 0 and said.startswith("mean of tasks: ") and "\na: " in said  # as it was begun
    assert "\naccuracy on all items: " in said and "--by task" in said
    found = json.loads(run("estimate all.csv --session s.json --json")[1])
    mean = np.mean([found["tasks"][task]["value"] for task in "ab"])
    assert found["mean_of_tasks"]["value"] == pytest.approx(mean)
    run("report --session s.json --out page.html")
    assert "<pre>mean of tasks: " in Path("page.html").read_text()
    run("items sources.csv --budget 30 --seed 1 --session t.json")
    assert run("estimate all.csv --session t.json")[1].startswith("accuracy on all items: ")
    assert run("estimate all.csv --session t.json --by task")[1] != said


def test_every_command_prints_json(run, two):
    for line in (
        "check sources.csv",
        "plan sources.csv --budget 20",
        "items --session s.json",
        "estimate all.csv --session s.json",
        "compare other.csv --session s.json",
        "report --session s.json --out page.html",
    ):
        code, said, _ = run(f"{line} --json")
        assert code == 0 and "NaN" not in said and json.loads(said)


def test_an_interruption_is_one_line(run, tables, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("benchpred_utils.evaluate.cli.read_any", interrupted)
    code, _, said = run("check sources.csv")
    assert code == 130 and said.startswith("stopped: ") and said.count("\n") == 1


def test_deep_nesting_is_one_line(run):
    Path("d.json").write_text('{"format":1,"sources":' + "[" * 200000)
    code, _, said = run("items --session d.json")
    assert code == 1 and said.startswith("error: d.json ") and said.count("\n") == 1


def test_a_target_among_the_sources_is_told(run, tables):
    """By its name or by all its results; a negative control has neither."""
    table = pd.read_csv("sources.csv").set_index("model")
    results = {"m3": pd.read_csv("all.csv").set_index("item")["score"], "mine": table.loc["m5"]}
    for name, source in {"all": None, "m3": "m3", "mine": "m5"}.items():
        if source:
            as_run(f"{name}.csv", results[name])
        run(f"items sources.csv --budget 40 --seed 1 --session {name}.json")
        said = run(f"estimate {name}.csv --session {name}.json")[1]
        assert ("leave that out" in said) == bool(source)
        if source:
            assert (
                f"\nnote: the target has the name or all the results of {source}, a source" in said
            )
    few = "items sources.csv --budget 5 --seed 1 --session few.json"  # which may be chance
    assert run(few)[0] == 0 and "leave that" not in run("estimate mine.csv --session few.json")[1]
    whole = json.loads(run("estimate m3.csv --sources sources.csv --json")[1])
    assert any("name or all the results of m3" in warning for warning in whole["warnings"])


def test_a_session_without_its_sources_says_so(run, tables):
    shutil.copy("all.csv", "more.csv")
    assert run("items sources.csv another=more.csv --budget 20 --session s.json")[0] == 0
    assert run("items --session s.json")[0] == 0  # a name before = is no part of the path
    Path("there").mkdir()
    shutil.copy("s.json", "there")
    for command in ("items", "estimate", "compare all.csv"):
        code, _, said = run(f"{command} --session there/s.json")
        assert code == 1 and said.startswith("error: there/s.json: the sources that it was begun")
        assert f"{Path('there', 'sources.csv')} is not there; move them along" in said


def test_the_number_of_items_is_asked_for(run, tables):
    shutil.copy("all.csv", "other.csv")
    for line in ("plan", "compare all.csv other.csv", "compare all.csv other.csv third.csv"):
        shutil.copy("all.csv", "third.csv")
        code, _, said = run(line)
        assert code == 1 and "or --of N, the number of items" in said and "None" not in said


@pytest.mark.parametrize("ends", ["stdout", "both"])
def test_a_reader_that_goes_early_is_no_error(run, tables, ends):
    """As `benchpred ... | head` or `2>&1 | head`: no traceback, and what was begun is whole."""
    begin = "-m benchpred_utils items sources.csv --budget 20 --session s.json --json"
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, *begin.split()],
        stdout=writing,
        stderr=writing if ends == "both" else subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    os.close(writing)
    assert done.returncode == 0
    if ends == "stdout":
        assert done.stderr.decode().startswith("s.json, sources") and done.stderr.count(b"\n") == 1
    assert run("items --session s.json")[0] == 0


def test_no_name_can_write_to_the_terminal(run, tables):
    """Of an item, a task, a file or a session: control characters are escaped."""
    clear = "\x1b[2J"
    frame = pd.read_csv("sources.csv").set_index("model")
    frame.columns = [f"{place}{clear}" for place in range(60)]
    rows = frame.stack().rename_axis(["model", "item"]).rename("score").reset_index()
    rows["domain"] = np.where(rows["item"] < "3", "a", clear)
    rows.to_csv("long.csv", index=False)
    for line, shown in (
        ("check long.csv", "domains: \\x1b[2J, a"),
        ("items long.csv --budget 10 --session s.json", "\\x1b[2J\n"),
        (f"items long.csv --budget 10 --session {clear}.json", "\\x1b[2J.json, sources"),
        (f"check {clear}.csv", "error: \\x1b[2J.csv"),
    ):
        _, *said = run(line)
        assert clear not in "".join(said) and shown in "".join(said)


@pytest.mark.parametrize(
    "hashed, metric, says", [("z", "acc", "not the same question"), ("h", "acc_norm", "metric")]
)
def test_models_compared_without_sources_ran_the_same(run, hashed, metric, says):
    """The same questions, by the same metric: else two numbers of different things are compared."""

    def logged(folder, hashed, metric, every):
        folder = Path(folder)
        folder.mkdir(parents=True)
        lines = [
            {
                "doc_id": i,
                "doc_hash": f"{hashed}{i}",
                "target_hash": "",
                "filter": "none",
                "metrics": [metric],
                metric: float(i % every > 0),
            }
            for i in range(50)
        ]
        text = "\n".join(map(json.dumps, lines))
        (folder / "samples_t_2025-01-02T03-04-05.1.jsonl").write_text(text)

    logged("a/one", "h", "acc", 2)
    logged("b/two", "h", "acc", 3)
    logged("c/three", hashed, metric, 3)
    assert run("compare a b --of 1000")[0] == 0
    code, said, error = run("compare a c --of 1000")
    assert code == 1 and not said and says in error
    assert run("compare a b c --of 1000")[0] == 1


def test_a_number_of_items_beside_sources_is_theirs(run, two):
    assert run("compare all.csv other.csv --sources sources.csv --of 60")[0] == 0
    code, said, error = run("compare all.csv other.csv --sources sources.csv --of 1000")
    assert code == 1 and not said and "--of 1000, but the sources have 60 items" in error
    assert "--of 5, but the sources have 60" in run("plan sources.csv --of 5")[2]


def test_a_list_is_written_for_a_session_that_is_there(run, tables):
    begin = "items sources.csv --budget 4 --seed 1"
    assert run(f"{begin} --session nofolder/s.json --sample-id x.txt")[0] == 1
    assert not Path("x.txt").exists()
    assert run(f"{begin} --session s.json --instance-ids x.txt --sample-id sources.csv")[0] == 1
    assert not Path("x.txt").exists() and not Path("s.json").exists()
    assert run(f"{begin} --session s.json --instance-ids x.txt --sample-id x.txt")[0] == 1
    assert not Path("x.txt").exists()


def test_named_sources_are_found_from_another_folder(run, tables, monkeypatch):
    frame = pd.read_csv("sources.csv")
    for k in (0, 1):
        row = frame.iloc[k, 1:].rename("score").rename_axis("item")
        row.to_csv(f"f{k}.csv")
    Path("deep").mkdir()
    begun = run("items A=f0.csv B=f1.csv sources.csv --budget 9 --seed 1 --session deep/s.json")[1]
    again = run("items A=f0.csv B=f1.csv sources.csv --budget 9 --seed 1 --session deep/s.json")
    monkeypatch.chdir("deep")
    assert run("items --session s.json")[1] == begun == again[1] != ""
    assert set(json.loads(Path("s.json").read_text())["sources"]["paths"]) == {
        "A=../f0.csv",
        "B=../f1.csv",
        "../sources.csv",
    }


def test_what_ends_a_round_is_offered_where_it_does(run, tables):
    """--failed wrong takes a run that has some items of the round; else it may be an older one."""
    asked = run("items sources.csv --budget 20 --rounds 4 --seed 1 --session s.json")[1].split()
    everything = pd.read_csv("all.csv").set_index("item")["score"]
    as_run("none.csv", everything.drop(asked))
    said, note = run("estimate none.csv --session s.json --failed wrong")[1:]
    assert "--failed wrong" not in said and "with its name and an empty score" in note
    while len(asked) < 2:
        as_run("part.csv", everything[asked])
        run("estimate part.csv --session s.json")
        asked = run("items --session s.json")[1].split()
    as_run("part.csv", everything[asked[1:]])
    assert "--failed wrong" in run("estimate part.csv --session s.json")[1]
    said = run("estimate part.csv --session s.json --failed wrong")[1]
    assert "--failed wrong" not in said and asked[0] not in run("items --session s.json")[1]


@pytest.mark.parametrize("begin", ["--precision 0.2", "--budget 9 --method metabench"])
def test_a_comparison_is_offered_where_there_is_one(run, tables, begin):
    run(f"items sources.csv --seed 1 --session s.json {begin}")
    while not json.loads(run("estimate all.csv --session s.json --json")[1])["done"]:
        pass
    assert "to compare it" not in run("estimate --session s.json")[1]
    assert run("compare all.csv --session s.json")[0] == 1


def test_results_of_no_item_of_the_sources_are_told(run, tables):
    everything = pd.read_csv("all.csv").set_index("item")["score"]
    more = pd.Series(0, [f"z{i}" for i in range(40)]).rename_axis("item")
    as_run("more.csv", pd.concat([everything, more]))
    code, said, note = run("estimate more.csv --sources sources.csv")
    assert code == 0 and "60 of 60 items" in said
    assert "40 of 100 results are of no item of the sources" in note
    assert "no item" not in run("estimate all.csv --sources sources.csv")[2]


@pytest.mark.parametrize(
    "line, says",
    [
        ("items sources.csv --budget 9 --seed -1 --session s.json", "--seed: '-1' is no whole"),
        ("plan --of 1.5", "--of: '1.5' is no whole number"),
    ],
)
def test_a_count_is_a_whole_number(run, tables, capsys, line, says):
    with pytest.raises(SystemExit):
        run(line)
    assert says in capsys.readouterr().err


def test_what_a_list_can_not_hold(run, tables):
    frame = pd.read_csv("sources.csv").set_index("model")
    frame.columns = [f"{name},x" for name in frame]
    frame.to_csv("commas.csv")
    begin = "items commas.csv --budget 9 --seed 1 --session s.json"
    code, _, error = run(f"{begin} --sample-id x.txt")
    assert code == 1 and "has a comma" in error and not Path("s.json").exists()


def test_a_terminal_without_the_letters_of_a_name(run, tables):
    frame = pd.read_csv("sources.csv").set_index("model").rename(columns={"q1": "qñ"})
    frame.to_csv("sources.csv")
    done = subprocess.run(
        [sys.executable, "-m", "benchpred_utils", "check", "sources.csv"],
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONIOENCODING": "ascii"},
    )
    assert done.returncode == 0 and b"q\\xf1" in done.stdout
