import hashlib
import http.server
import json
import os
import threading
from itertools import repeat

import joblib
import numpy as np
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
