"""Real score matrices: where their files come from, and how they are read.

A file is taken from ``$BENCHPRED_DATA`` if it is there, else from the cache, else downloaded from
the address pinned in ``facts/manifest.json``. Its sha256 is checked each time, before a byte of it
is interpreted: only the very files that were looked through are ever read.
"""

import hashlib
import io
import json
import os
import tempfile
from functools import cache
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import platformdirs

from .scores import Scores

FACTS = Path(__file__).parent / "facts"
HELM_LITE = ("openbookqa", "gsm8k", "legalbench", "math", "medqa", "mmlu")  # those of the book
_NAMED = {*HELM_LITE} - {"legalbench"}  # whose rows lack four models, and nobody says which
_SYSTEMS = ["arx_0314", "arx_3", "iask_pro"]  # systems built on models, not models
_BOARDS = {"swe_bench_bash_only": "bash-only", "swe_bench_multilingual": "Multilingual"}
_STALE = "20250720_mini-v0.0.0-claude-3-7-sonnet-20250219"  # solved: 51 by items, 264 published


class DataUnavailable(RuntimeError):
    """A score matrix is neither in $BENCHPRED_DATA nor in the cache, and can't be downloaded."""


# --- from a name to checked bytes -----------------------------------------------------------------


@cache
def _manifest():
    return json.loads((FACTS / "manifest.json").read_text())


def files(name):
    """The manifest's entries of the files that data set `name` needs.

    Each is a dict with file, url, sha256, licence and more. Raises ValueError for another name.
    """
    if name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(DATASETS)}")
    return [entry for entry in _manifest() if name in entry["data_sets"]]


def fetch(name):
    """The local paths of the files of data set `name`, downloaded if need be, and checked.

    Raises DataUnavailable when a file can't be had, and ValueError when one is not the file that
    was published: when its sha256 is another.
    """
    return [_fetch(entry)[0] for entry in files(name)]


def _fetch(entry):
    """The path of a file, and its checked bytes: read once, so that these are what is used."""
    cache = _cache_folder()
    path = Path(os.environ.get("BENCHPRED_DATA") or cache, entry["file"])
    if not path.is_file():
        path = cache / entry["file"]
    if not path.is_file():
        _download(entry, path)
    content = path.read_bytes()
    found = _sha256(content)
    if found != entry["sha256"]:
        raise ValueError(
            f"{path} is not the published file: its sha256 is {found[:12]}..., "
            f"{entry['sha256'][:12]}... was expected; delete it (a new copy is downloaded) or "
            f"replace it by {entry['url']}"
        )
    return path, content


def _cache_folder():
    return Path(platformdirs.user_cache_dir("benchpred-book"))


def _sha256(content):
    return hashlib.sha256(content).hexdigest()


def _download(entry, path):
    """Store a file at `path`; no more bytes are taken than it should have."""
    import requests

    if os.environ.get("BENCHPRED_OFFLINE"):
        raise DataUnavailable(
            f"{entry['file']} is not here and BENCHPRED_OFFLINE forbids the download"
        )
    try:
        content = b""
        with requests.get(entry["url"], stream=True, timeout=20) as response:
            response.raise_for_status()
            for part in response.iter_content(2**16):
                content += part
                if len(content) > entry["bytes"]:
                    break
        if _sha256(content) != entry["sha256"]:
            raise OSError("what came is not the published file")
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:  # no half-written file is seen
            written = Path(folder, path.name)
            written.write_bytes(content)
            written.replace(path)
    except OSError as error:  # all errors of requests are
        raise DataUnavailable(
            f"{entry['file']} could not be downloaded from {entry['url']} "
            f"({type(error).__name__}: {error}); put it at $BENCHPRED_DATA/{entry['file']}, "
            "or try again with internet access"
        ) from error


# --- from checked bytes to Scores -----------------------------------------------------------------


def _read_helm_lite(name, file):
    values = joblib.load(file)  # a pickle, which could run code: this one is known by its sha256
    domains = json.loads((FACTS / "domains.json").read_text()).get(name)
    return Scores(
        values,
        models=model_table(name).index if name in _NAMED else None,
        items=[f"{name}-{i:04d}" for i in range(values.shape[1])],
        domains=None if domains is None else np.repeat(list(domains), list(domains.values())),
        dates=np.arange(len(values)),  # the rows stand in order of release
        name=name,
    )


def _read_mmlu_pro(name, file, log, systems=False):
    """MMLU-Pro, or its mathematics questions from MMLU, the same with and without the systems."""
    table = pd.read_csv(file, index_col="question_id")  # questions x models; NaN is no answer
    table = table.dropna(axis=1, thresh=11_001)  # with fewer, a model was run on a part only
    facts = pd.read_json(log, compression="zip").set_index("question_id")
    domains = facts["category"]
    chosen = table if systems else table.drop(columns=_SYSTEMS)
    if name == "mmlu_math":
        origin = facts["src"][domains == "math"]
        domains = origin.str.extract("^ori_mmlu-(.*)")[0].dropna()
        chosen = chosen.loc[table.dropna().index.intersection(domains.index)]
    return Scores(chosen.dropna().T, domains=domains, name=name)


def _swe_bench(name, table, costs=None):
    """Scores of a table, runs x tasks, as 20231010_rag_... x django__django-1: domain django."""
    return Scores(
        table,
        domains=[task.split("__")[0] for task in table.columns],
        dates=[f"{run[:4]}-{run[4:6]}-{run[6:8]}" for run in table.index],
        name=name,
        costs=costs,
    )


def _read_swe_bench(name, file):
    return _swe_bench(name, pd.read_csv(file, index_col="model"))


def _read_leaderboard(name, page):
    """A board of the page: the runs that tell their tasks, and the tasks that all of these have."""
    text = page.read().partition(b'id="leaderboard-data">')[2].partition(b"</script>")[0]
    runs = {
        run["folder"]: pd.DataFrame.from_dict(run["per_instance_details"], "index")
        for board in json.loads(text)
        if board["name"] == _BOARDS[name]
        for run in board["results"]
        if run.get("per_instance_details") and run["folder"] != _STALE
    }
    table = pd.concat(runs).sort_index().unstack().dropna(axis=1)
    return _swe_bench(name, table["resolved"], table["cost"])


def _read_gso(name, *reports):
    """1 where a task is in opt_commit_ids; what a report does not name is a failure too."""
    lists = [json.load(report)["instance_sets"] for report in reports]
    tasks = sorted({task for parts in lists for ids in parts.values() for task in ids})
    solved = [np.isin(tasks, parts["opt_commit_ids"]) for parts in lists]
    models = [Path(entry["file"]).stem for entry in files(name)]
    return Scores(solved, models, tasks, name=name)


def _read_bigcodebench(name, file):
    return Scores(pd.read_csv(file, index_col="Model"), name=name)


def _read_digits_zoo(name):
    with np.load(FACTS / "digits_zoo.npz") as stored:
        digits = stored["label"].astype(str)
        values = np.unpackbits(stored["correct"], axis=1, count=len(digits))
    items = [f"digit-{i:04d}" for i in range(len(digits))]
    return Scores(values, model_table(name).index, items, digits, name=name)


DATASETS = {  # name: reader of its files
    **dict.fromkeys(HELM_LITE, _read_helm_lite),
    "mmlu_pro": _read_mmlu_pro,
    "mmlu_math": _read_mmlu_pro,
    "swe_bench_verified": _read_swe_bench,
    **dict.fromkeys(_BOARDS, _read_leaderboard),
    "bigcodebench": _read_bigcodebench,
    "gso": _read_gso,
    "digits_zoo": _read_digits_zoo,
}


def load_scores(name, *, systems=False):
    """The Scores of a real benchmark, by name: one of `DATASETS`.

    `openbookqa`, `gsm8k`, `legalbench`, `math`, `medqa`, `mmlu` (HELM-Lite), `mmlu_pro` (the
    questions that all plain models with more than 11,000 answers have), `mmlu_math` (its 842
    mathematics questions that come from MMLU, with their MMLU subject as domain),
    `swe_bench_verified`, `bigcodebench`, and `digits_zoo`, which ships in the package.

    `swe_bench_bash_only` and `swe_bench_multilingual` are runs of one agent with many models, named
    by their folder, with dates and with `costs` in dollars for each model and item (CC BY-NC 4.0;
    SWE-bench's leaderboards page). Bash-only has 39 runs: not the 6 without scores for items, nor
    that of Claude 3.7 Sonnet, whose items (51 solved) contradict its published rate (52.8%); the
    agent's version rises with the date, and both tails of the costs are cut by its limits.
    Multilingual has the 293 of 300 items that all 13 runs hold: three ids are cut short at a dot in
    12 of them, and four more lack one item each; its published rates are of all 300.
    `gso` is Opt@1, 21 models x 102 tasks without dates: 1 where a patch is correct and as fast as
    the expert's. A task that a report does not name is a failure, and the 11 successes that five
    reports mark as hacks count as successes, as in the published score.

    ``systems=True`` adds arx_0314, arx_3 and iask_pro, systems built on models, to `mmlu_pro` and
    `mmlu_math`. Raises ValueError for an unknown name or a file with a wrong hash, and
    DataUnavailable when a file can't be had.
    """
    entries = files(name)
    reader = DATASETS[name]
    if systems and reader is not _read_mmlu_pro:
        raise ValueError(f"systems=True is for mmlu_pro and mmlu_math; {name} has no systems")
    contents = [io.BytesIO(_fetch(entry)[1]) for entry in entries]
    return reader(name, *contents, **({"systems": True} if systems else {}))


def model_table(name):
    """What is known of the models of data set `name`: a data frame, indexed by the model's name.

    The digits zoo has group, family, settings, parameters and accuracy; the HELM-Lite benchmarks
    have the developer. `swe_bench_bash_only` has same_model, developer and agent_version, `gso` has
    same_model: rows of one same_model are runs of the same model, at another date, effort or
    version of the agent, and a source that is also the target says more than a new model's would.
    Raises ValueError where nothing but the name is known.
    """
    files(name)  # there is such a data set
    path = FACTS / f"{'helm_lite_models' if name in _NAMED else name}.csv"
    if not path.exists():
        raise ValueError(f"nothing but the names is known of the models of {name!r}")
    return pd.read_csv(path, index_col="model")
