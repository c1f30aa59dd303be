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
import zipfile
from functools import cache
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import platformdirs

from .scores import Scores

FACTS = Path(__file__).parent / "facts"
HELM_LITE = ("openbookqa", "gsm8k", "legalbench", "math", "medqa", "mmlu")  # those of the book
_NAMELESS = "legalbench"  # four of the models' rows are missing, and nobody says which
_SYSTEMS = ["arx_0314", "arx_3", "iask_pro"]  # systems built on models, not models
_FROM_MMLU = "ori_mmlu-"  # what the source of a question begins with that MMLU-Pro took from MMLU
_MMLU_PRO_ANSWERS = 11_000  # a model with fewer answers was run on a part of MMLU-Pro only


class DataUnavailable(RuntimeError):
    """A score matrix is neither in $BENCHPRED_DATA nor in the cache, and can't be downloaded."""


# --- from a name to checked bytes -----------------------------------------------------------------


@cache
def _manifest():
    return json.loads((FACTS / "manifest.json").read_text())


def files(name):
    """The manifest's entries of the files that data set `name` needs.

    Each is a dict with file, url, sha256, licence and more.
    """
    _reader(name)
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
        return path, _download(entry, path)
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
    """The bytes of a file, which is stored at `path`; no more are taken than it should have."""
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
    return content


# --- from checked bytes to Scores -----------------------------------------------------------------


def _read_helm_lite(name, file):
    values = joblib.load(file)  # a pickle, which could run code: this one is known by its sha256
    domains = json.loads((FACTS / "domains.json").read_text()).get(name)
    return Scores(
        values,
        models=None if name == _NAMELESS else model_table(name).index,
        items=[f"{name}-{i:04d}" for i in range(values.shape[1])],
        domains=None if domains is None else np.repeat(list(domains), list(domains.values())),
        dates=np.arange(len(values)),  # the rows stand in order of release
        name=name,
    )


def _read_mmlu_pro(name, file, log, systems=False):
    """MMLU-Pro, or its mathematics questions from MMLU, the same with and without the systems."""
    table = pd.read_csv(file, index_col="question_id")  # questions x models; NaN is no answer
    table = table.loc[:, table.notna().sum() > _MMLU_PRO_ANSWERS]
    with zipfile.ZipFile(log) as archive:
        facts = pd.DataFrame(json.loads(archive.read(archive.namelist()[0])))
    facts = facts.set_index(facts["question_id"].astype(int))
    chosen = table if systems else table.drop(columns=_SYSTEMS)
    if name == "mmlu_pro":
        return Scores(chosen.dropna().T, domains=facts["category"], name=name)
    facts = facts.loc[table.dropna().index]
    facts = facts[(facts["category"] == "math") & facts["src"].str.startswith(_FROM_MMLU)]
    domains = facts["src"].str.removeprefix(_FROM_MMLU)
    return Scores(chosen.loc[facts.index].T, domains=domains, name=name)


def _read_swe_bench(name, file):
    table = pd.read_csv(file, index_col="model")
    return Scores(
        table,
        domains=[item.split("__")[0] for item in table.columns],  # django of django__django-1
        dates=[f"{name[:4]}-{name[4:6]}-{name[6:8]}" for name in table.index],  # 20231010_rag_...
        name=name,
    )


def _read_bigcodebench(name, file):
    return Scores(pd.read_csv(file, index_col="Model"), name=name)


def _read_digits_zoo(name):
    with np.load(FACTS / "digits_zoo.npz") as stored:
        n_models, n_items = stored["shape"]
        values = np.unpackbits(stored["correct"], axis=1, count=n_items)
        digits = stored["label"]
    items = [f"digit-{i:04d}" for i in range(n_items)]
    return Scores(
        values, models=model_table(name).index, items=items, domains=digits.astype(str), name=name
    )


DATASETS = {  # name: reader of its files
    **dict.fromkeys(HELM_LITE, _read_helm_lite),
    "mmlu_pro": _read_mmlu_pro,
    "mmlu_math": _read_mmlu_pro,
    "swe_bench_verified": _read_swe_bench,
    "bigcodebench": _read_bigcodebench,
    "digits_zoo": _read_digits_zoo,
}


def _reader(name):
    if name not in DATASETS:
        raise ValueError(f"there is no data set {name!r}; there are {', '.join(DATASETS)}")
    return DATASETS[name]


def load_scores(name, *, systems=False):
    """The Scores of a real benchmark, by name: one of `DATASETS`.

    `openbookqa`, `gsm8k`, `legalbench`, `math`, `medqa`, `mmlu` (HELM-Lite), `mmlu_pro` (the
    questions that all plain models with more than 11,000 answers have), `mmlu_math` (its 842
    mathematics questions that come from MMLU, with their MMLU subject as domain),
    `swe_bench_verified`, `bigcodebench`, and `digits_zoo`, which ships in the package.
    ``systems=True`` adds arx_0314, arx_3 and iask_pro, systems built on models, to `mmlu_pro` and
    `mmlu_math`. Raises ValueError for an unknown name or a file with a wrong hash, and
    DataUnavailable when a file can't be had.
    """
    reader = _reader(name)
    if systems and reader is not _read_mmlu_pro:
        raise ValueError(f"systems=True is for mmlu_pro and mmlu_math; {name} has no systems")
    contents = [io.BytesIO(_fetch(entry)[1]) for entry in files(name)]
    return reader(name, *contents, **({"systems": True} if systems else {}))


def model_table(name):
    """What is known of the models of data set `name`: a data frame, indexed by the model's name.

    The digits zoo has group, family, settings, parameters and accuracy; the HELM-Lite benchmarks
    have the developer.
    Raises ValueError where nothing but the name is known.
    """
    _reader(name)
    if name == "digits_zoo":
        return pd.read_csv(FACTS / "digits_zoo.csv", index_col="model")
    if name in HELM_LITE and name != _NAMELESS:
        return pd.read_csv(FACTS / "helm_lite_models.csv", index_col="model")
    raise ValueError(f"nothing but the names is known of the models of {name!r}")
