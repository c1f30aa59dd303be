import hashlib
import http.server
import json
import os
import threading
from itertools import repeat

import joblib
import numpy as np
import pandas as pd
import pytest

import benchpred_utils as bp
from benchpred_utils import data

# --- what the files hold --------------------------------------------------------------------------

BEST = dict(zip(bp.HELM_LITE, (0.972, 0.956, 0.702, 0.934, 0.869, 0.811)))
SHAPE = dict(
    zip(bp.HELM_LITE, ((83, 500), (83, 1000), (79, 2047), (83, 437), (83, 1000), (83, 567)))
)


@pytest.mark.data
@pytest.mark.parametrize("name", bp.HELM_LITE)
def test_helm_lite(load, name):
    scores = load(name)
    assert scores.values.shape == SHAPE[name]
    assert round(scores.accuracy.max(), 3) == BEST[name]
    assert set(np.unique(scores.values)) == {0.0, 1.0}
    assert list(scores.dates) == list(range(scores.n_models))
    assert scores.models[0] == ("model-00" if name == "legalbench" else "01-ai_yi-34b")


@pytest.mark.data
def test_rows_stand_under_their_published_names(load):
    """gpt-4-0613 on the public leaderboard: .932 on GSM8K and .960 on OpenBookQA."""
    for name, published in (("gsm8k", 0.932), ("openbookqa", 0.960)):
        scores = load(name)
        assert (
            round(scores.accuracy[list(scores.models).index("openai_gpt-4-0613")], 3) == published
        )


@pytest.mark.data
def test_sub_domains(load):
    scores = load("mmlu")
    means = {d: scores.values[:, scores.domains == d].mean() for d in dict.fromkeys(scores.domains)}
    assert [round(mean, 3) for mean in means.values()] == [0.417, 0.483, 0.749, 0.561, 0.859]
    assert len(set(load("math").domains)) == 7 and len(set(load("legalbench").domains)) == 5


def test_sub_domain_counts_add_up_to_the_number_of_items():
    counts = json.loads((data.FACTS / "domains.json").read_text())
    assert {name: sum(parts.values()) for name, parts in counts.items()} == {
        n: SHAPE[n][1] for n in counts
    }


@pytest.mark.data
def test_mmlu_pro_with_and_without_systems(load):
    plain, everything = load("mmlu_pro"), load("mmlu_pro", systems=True)
    assert plain.values.shape == (43, 11_496) and everything.values.shape == (46, 11_377)
    assert set(everything.models) - set(plain.models) == {"arx_0314", "arx_3", "iask_pro"}
    assert len(set(plain.domains)) == 14
    assert (plain.domains == "math").sum() == 1351


@pytest.mark.data
def test_mmlu_math_is_a_part_of_mmlu_pro(load):
    plain, everything, whole = (
        load("mmlu_math"),
        load("mmlu_math", systems=True),
        load("mmlu_pro", systems=True),
    )
    assert plain.values.shape == (43, 842) and everything.values.shape == (46, 842)
    assert list(plain.items) == list(everything.items)
    assert dict(zip(*np.unique(plain.domains, return_counts=True))) == {
        "abstract_algebra": 83, "college_mathematics": 74, "elementary_mathematics": 304,
        "high_school_mathematics": 239, "high_school_statistics": 142,
    }  # fmt: skip
    part = whole.select(items=np.isin(whole.items, everything.items))
    assert np.array_equal(part.values, everything.values) and set(part.domains) == {"math"}
    assert round(plain.accuracy.min(), 3) == 0.097 and round(plain.accuracy.max(), 3) == 0.878
    assert round(everything.accuracy.max(), 3) == 0.937


@pytest.mark.data
def test_code_benchmarks(load):
    swe, code = load("swe_bench_verified"), load("bigcodebench")
    assert swe.values.shape == (134, 500) and round(swe.accuracy.max(), 3) == 0.792
    assert str(swe.dates.min()) == "2023-10-10" and "django" in set(swe.domains)
    assert code.values.shape == (153, 1140) and round(code.accuracy.max(), 3) == 0.624
    with pytest.raises(ValueError, match="neither dates nor an order of release"):
        bp.split_models(code, "chronological")


@pytest.mark.data
def test_one_agent_with_many_models(load):
    """39 of the 40 runs with items, without the stale one; rates as published within .13 points."""
    scores = load("swe_bench_bash_only")
    assert scores.values.shape == scores.costs.shape == (39, 500)
    assert round(scores.accuracy.max(), 3) == 0.768
    assert not [name for name in scores.models if "claude-3-7-sonnet" in name]
    assert list(scores.dates) == sorted(scores.dates)
    assert (str(scores.dates.min()), str(scores.dates.max())) == ("2025-07-20", "2026-02-19")
    solved = scores.values.sum(axis=0)
    assert (solved == 0).sum() == 49 and (solved == 39).sum() == 9
    assert list(scores.items) == list(load("swe_bench_verified").items)
    board = board_of(scores.name)
    published = np.array([board[name]["resolved"] for name in scores.models])
    away = np.abs(100 * scores.accuracy - published)
    assert (away < 1e-9).sum() == 37 and away.max() < 0.14
    bills = {name: board[name]["cost"] for name in scores.models if board[name]["cost"] is not None}
    assert len(bills) == 37
    for name, bill in bills.items():
        row = list(scores.models).index(name)
        assert scores.costs[row].sum() == pytest.approx(bill, abs=1e-6)


@pytest.mark.data
def test_the_items_that_all_runs_of_the_multilingual_board_have(load):
    scores = load("swe_bench_multilingual")
    assert scores.values.shape == scores.costs.shape == (13, 293)
    assert not [item for item in scores.items if item.startswith("mrdoob__three")]  # cut at a dot
    board = board_of(scores.name)
    own = {name: pd.DataFrame(run["per_instance_details"]).T for name, run in board.items()}
    best = max(table["resolved"].mean() for table in own.values())
    assert round(best, 3) == 0.725 and round(scores.accuracy.max(), 3) == 0.724
    assert sorted({len(table) for table in own.values()}) == [297, 298, 300]


@pytest.mark.data
def test_gso(load):
    """Every report's own score, to its two decimals: what it does not name counts as unsolved."""
    scores = load("gso")
    assert scores.values.shape == (21, 102) and scores.costs is None
    assert round(scores.accuracy.max(), 3) == 0.441 and round(scores.accuracy.min(), 3) == 0.029
    solved = scores.values.sum(axis=0)
    assert (solved == 0).sum() == 24 and solved.max() == 16
    for path in data.fetch("gso"):
        report = json.loads(path.read_text())
        accuracy = scores.accuracy[list(scores.models).index(path.stem)]
        assert round(100 * accuracy, 2) == report["summary"]["score"]


@pytest.mark.data
def test_runs_of_the_same_model_are_known(load):
    table = bp.model_table("swe_bench_bash_only")
    assert list(table.index) == list(load("swe_bench_bash_only").models)
    runs = table["same_model"].value_counts()
    assert runs[runs > 1].to_dict() == {
        "GPT-5.2": 3,
        "Claude 4.5 Sonnet": 2,
        "GPT-5 mini": 2,
        "Claude 4.5 Opus": 2,
        "DeepSeek V3.2": 2,
    }
    scores = load("swe_bench_bash_only")
    for model, agreed in (("Claude 4.5 Sonnet", 436), ("GPT-5 mini", 416)):
        first, second = scores.values[(table["same_model"] == model).to_numpy()]
        assert (first == second).sum() == agreed
    versions = table["agent_version"]
    assert (versions == "2.0.0").sum() == 12
    late = load("swe_bench_bash_only").dates >= np.datetime64("2026-01-01")
    assert set(versions[late]) == {"2.0.0"}  # the agent changed as the year did
    efforts = bp.model_table("gso")
    assert list(efforts.index) == list(load("gso").models)
    assert efforts["same_model"].nunique() == 19


def board_of(name):
    """The runs of a board of the published page, by folder."""
    (path,) = data.fetch(name)
    text = path.read_text(encoding="utf-8")
    boards = json.loads(text.split('id="leaderboard-data">')[1].split("</script>")[0])
    (board,) = (board for board in boards if board["name"] == data._BOARDS[name])
    return {run["folder"]: run for run in board["results"]}


# --- the shapes of files, made up -----------------------------------------------------------------


@pytest.fixture
def publish(tmp_path, monkeypatch):
    """A function that makes some texts the published files of a data set."""

    def published(name, contents):
        entries = []
        for file, text in contents.items():
            path = tmp_path / file
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
            known = hashlib.sha256(text.encode()).hexdigest()
            entries.append({"file": file, "url": "", "data_sets": [name], "sha256": known})
        monkeypatch.setattr(data, "_manifest", lambda: entries)
        monkeypatch.setenv("BENCHPRED_DATA", str(tmp_path))

    return published


def a_run(folder, solved, **others):
    told = {"api_calls": 9}
    details = {
        task: {"resolved": done, "cost": 0.25 + 0.5 * done, **told} for task, done in solved.items()
    }
    return {"folder": folder, "name": "one", "per_instance_details": details, **others}


def a_page(**boards):
    found = [{"name": name.replace("_", "-"), "results": runs} for name, runs in boards.items()]
    tag = '<script type="application/json" id="leaderboard-data">'
    return f"<html><script>let a = 1</script>{tag}{json.dumps(found)}</script><p></p></html>"


def test_a_board_is_read_as_the_page_has_it(publish):
    """In order of date; without runs that tell no items, other boards' runs, and the stale one."""
    first = a_run("20250801_b", {"django__django-2": False, "sphinx__sphinx-1": True})
    second = a_run("20260102_a", {"sphinx__sphinx-1": True, "django__django-2": True})
    silent = {"folder": "20250901_c", "per_instance_details": None}
    without = {"folder": "20250902_c"}
    stale = a_run(data._STALE, {"django__django-2": True, "sphinx__sphinx-1": True})
    runs = [second, silent, first, stale, without]
    publish("swe_bench_bash_only", {"page.html": a_page(bash_only=runs, Verified=[second])})
    scores = bp.load_scores("swe_bench_bash_only")
    assert list(scores.models) == ["20250801_b", "20260102_a"]
    assert list(scores.items) == ["django__django-2", "sphinx__sphinx-1"]
    assert list(scores.domains) == ["django", "sphinx"]
    assert scores.values.tolist() == [[0, 1], [1, 1]]
    assert scores.costs.tolist() == [[0.25, 0.75], [0.75, 0.75]]
    assert list(scores.dates.astype(str)) == ["2025-08-01", "2026-01-02"]


def test_items_that_a_run_lacks_are_left_out(publish):
    """As the three ids that are one key, cut at a dot, in all runs but one."""
    cut = a_run("20260213_a", {"three": False, "d__d-1": True, "d__d-2": False, "d__d-3": True})
    whole = a_run("20260220_b", {"three.js-1": True, "d__d-1": False, "d__d-2": True})
    publish("swe_bench_multilingual", {"page.html": a_page(Multilingual=[cut, whole])})
    scores = bp.load_scores("swe_bench_multilingual")
    assert list(scores.items) == ["d__d-1", "d__d-2"]
    assert scores.values.tolist() == [[1, 0], [0, 1]]


def test_a_task_in_no_list_of_a_report_is_a_failure(publish):
    first = {"completed_ids": ["n-1", "n-2"], "passed_ids": ["n-2"], "opt_commit_ids": ["n-2"]}
    second = {"completed_ids": ["n-3"], "opt_commit_ids": [], "hacked_ids": []}
    reports = {"gso/b.json": first, "gso/a.1.json": second}
    publish("gso", {file: json.dumps({"instance_sets": sets}) for file, sets in reports.items()})
    scores = bp.load_scores("gso")
    assert list(scores.models) == ["b", "a.1"] and list(scores.items) == ["n-1", "n-2", "n-3"]
    assert scores.values.tolist() == [[0, 1, 0], [0, 0, 0]]
    assert scores.dates is None and scores.costs is None


def test_every_manifest_entry_is_pinned_and_used():
    used = {entry["file"] for name in bp.DATASETS for entry in data.files(name)}
    assert used == {entry["file"] for entry in data._manifest()}
    for entry in data._manifest():
        assert entry["commit"] in entry["url"] and len(entry["sha256"]) == 64


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="no data set 'gsm'; there are openbookqa, gsm8k"):
        bp.load_scores("gsm")
    with pytest.raises(ValueError, match="systems=True is for mmlu_pro and mmlu_math"):
        bp.load_scores("digits_zoo", systems=True)
    with pytest.raises(ValueError, match="nothing but the names"):
        bp.model_table("legalbench")
    with pytest.raises(ValueError, match="no data set 'nope'; there are openbookqa"):
        bp.model_table("nope")


# --- where they come from -------------------------------------------------------------------------


@pytest.fixture
def small_file(tmp_path, monkeypatch):
    """The data set 'bigcodebench' is a 2 x 3 matrix served on this computer; the cache is empty."""
    served = tmp_path / "served"
    served.mkdir()
    content = b"Model,a,b,c\nfirst,0,1,1\nsecond,1,0,1\n"
    (served / "small.csv").write_bytes(content)

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(served))

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    entry = {
        "file": "torch-measure/small.csv",
        "url": f"http://127.0.0.1:{server.server_port}/small.csv",
        "bytes": len(content),
        "data_sets": ["bigcodebench", "gsm8k"],
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    monkeypatch.setattr(data, "_manifest", lambda: [entry])
    monkeypatch.setattr(data, "_cache_folder", lambda: tmp_path / "cache")
    for variable in ("BENCHPRED_DATA", "BENCHPRED_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    yield entry, content
    server.shutdown()
    server.server_close()


def test_download_then_cache_then_local_folder(small_file, tmp_path, monkeypatch):
    entry, content = small_file
    assert bp.load_scores("bigcodebench").values.shape == (2, 3)
    cached = tmp_path / "cache" / entry["file"]
    assert cached.read_bytes() == content
    monkeypatch.setenv("BENCHPRED_OFFLINE", "1")  # from here on only what is on the disk
    assert data.fetch("bigcodebench") == [cached]
    monkeypatch.setenv("BENCHPRED_DATA", str(tmp_path / "mine"))
    assert data.fetch("bigcodebench") == [cached]  # an empty folder does not hide the cache
    mine = tmp_path / "mine" / entry["file"]
    mine.parent.mkdir(parents=True)
    mine.write_bytes(content)
    assert data.fetch("bigcodebench") == [mine]


@pytest.mark.parametrize("body", ["", "<html>please log in</html>", "short", "other", "endless"])
def test_what_came_instead_of_the_file_is_not_kept(body, small_file, tmp_path, monkeypatch):
    """A captive portal, an empty body, one cut short, another file, and one that never ends."""
    entry, content = small_file
    other = content[:-1] + bytes([content[-1] ^ 1])
    parts = {"short": [content[:-1]], "other": [other], "endless": repeat(content, 10**5)}
    sent = []

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            try:
                for part in parts.get(body, [body.encode()]):
                    self.wfile.write(part)
                    sent.append(len(part))
            except OSError:  # the other side has gone
                pass

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        entry["url"] = f"http://127.0.0.1:{server.server_port}/"
        with pytest.raises(
            bp.DataUnavailable, match="what came is not the published file.*put it at"
        ):
            bp.load_scores("bigcodebench")
        server.shutdown()
    assert len(sent) < 10**5  # it was told to stop
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_what_was_hashed_is_what_is_read(small_file, tmp_path, monkeypatch):
    """A file that is exchanged after its hash was taken is not opened again."""
    entry, content = small_file
    mine = tmp_path / "mine" / entry["file"]
    mine.parent.mkdir(parents=True)
    mine.write_bytes(content)
    monkeypatch.setenv("BENCHPRED_DATA", str(tmp_path / "mine"))

    def exchanged(content):
        mine.write_bytes(content.replace(b"0", b"1"))
        return hashlib.sha256(content).hexdigest()

    monkeypatch.setattr(data, "_sha256", exchanged)
    assert bp.load_scores("bigcodebench").values.tolist() == [[0, 1, 1], [1, 0, 1]]
    with pytest.raises(ValueError, match="not the published file"):  # negative control
        bp.load_scores("bigcodebench")


def test_a_download_leaves_its_file_alone(small_file, tmp_path):
    entry, content = small_file
    bp.load_scores("bigcodebench")
    left = [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert left == [tmp_path / "cache" / entry["file"]]


def test_a_wrong_file_of_ones_own_is_refused(small_file, tmp_path, monkeypatch):
    entry, _ = small_file
    mine = tmp_path / "mine" / entry["file"]
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"something else")
    monkeypatch.setenv("BENCHPRED_DATA", str(tmp_path / "mine"))
    with pytest.raises(
        ValueError, match="small.csv is not the published file: its sha256.*delete it"
    ):
        bp.load_scores("bigcodebench")


def test_what_cannot_be_had_is_said_with_what_to_do(small_file, monkeypatch):
    entry, _ = small_file
    entry["url"] = "http://127.0.0.1:9/small.csv"  # the discard port: nobody answers
    with pytest.raises(
        bp.DataUnavailable, match=r"small.csv could not be downloaded.*put it at \$BENCHPRED_DATA"
    ):
        bp.load_scores("bigcodebench")
    monkeypatch.setenv("BENCHPRED_OFFLINE", "1")
    with pytest.raises(bp.DataUnavailable, match="BENCHPRED_OFFLINE"):
        bp.load_scores("bigcodebench")


class Harmful:
    def __reduce__(self):
        return os.mkdir, ("harm-done",)


def test_a_pickle_that_is_not_the_published_one_is_never_loaded(small_file, tmp_path, monkeypatch):
    """A pickle can run code: it is loaded only after its bytes were found to be the known ones."""
    entry, _ = small_file
    mine = tmp_path / "mine" / entry["file"]
    mine.parent.mkdir(parents=True)
    joblib.dump(Harmful(), mine)
    monkeypatch.setenv("BENCHPRED_DATA", str(tmp_path / "mine"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="small.csv is not the published file"):
        bp.load_scores("gsm8k")
    assert not (tmp_path / "harm-done").exists()
    joblib.load(mine)  # negative control
    assert (tmp_path / "harm-done").exists()
