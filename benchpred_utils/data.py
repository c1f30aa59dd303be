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
HELM_LITE = (
    "openbookqa",
    "gsm8k",
    "legalbench",
    "math",
    "medqa",
    "mmlu",
)  # the six benchmarks of the book
_HELM_FILES = dict(zip(HELM_LITE, ("commonsense", "gsm", "legalbench", "math", "med_qa", "mmlu")))
_SYSTEMS = ("arx_0314", "arx_3", "iask_pro")  # systems built on models, not models
_FROM_MMLU = "ori_mmlu-"  # what the source of a question begins with that MMLU-Pro took from MMLU
_MMLU_PRO_ANSWERS = 11_000  # a model with fewer answers was run on a part of MMLU-Pro only


class DataUnavailable(RuntimeError):
    """A score matrix is neither in $BENCHPRED_DATA nor in the cache, and can't be downloaded."""


# --- from a name to checked bytes -----------------------------------------------------------------


@cache
def _manifest():
    return {entry["file"]: entry for entry in json.loads((FACTS / "manifest.json").read_text())}


def files(name):
    """The manifest's entries of the files that data set `name` needs.

    Each is a dict with file, url, sha256, licence and more.
    """
    return [_manifest()[file] for file in _dataset(name)[1]]


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
    models = _helm_models()
    if len(values) != len(models):
        models = None  # four rows of LegalBench are missing, and nobody says which
    domains = json.loads((FACTS / "domains.json").read_text()).get(name)
    return Scores(
        values,
        models=models,
        items=[f"{name}-{i:04d}" for i in range(values.shape[1])],
        domains=None if domains is None else np.repeat(list(domains), list(domains.values())),
        dates=np.arange(len(values)),  # the rows stand in order of release
        name=name,
    )


@cache
def _helm_models():
    return tuple(pd.read_csv(FACTS / "helm_lite_models.csv")["model"])


def _read_mmlu_pro(name, file, log, systems=False):
    table = _answers(file)
    if not systems:
        table = table.drop(columns=list(_SYSTEMS))
    table = table.dropna()
    return Scores(table.T, domains=_mmlu_pro_log(log)["category"][table.index], name=name)


def _read_mmlu_math(name, file, log, systems=False):
    table = _answers(file).dropna()  # the same questions with and without the systems
    facts = _mmlu_pro_log(log).loc[table.index]
    facts = facts[(facts["category"] == "math") & facts["src"].str.startswith(_FROM_MMLU)]
    table = table.loc[facts.index].drop(columns=[] if systems else list(_SYSTEMS))
    return Scores(table.T, domains=facts["src"].str.removeprefix(_FROM_MMLU), name=name)


def _answers(file):
    """Questions x models of MMLU-Pro, of models that answered nearly all; NaN is no answer."""
    table = pd.read_csv(file, index_col="question_id")
    return table.loc[:, table.notna().sum() > _MMLU_PRO_ANSWERS]


def _mmlu_pro_log(file):
    with zipfile.ZipFile(file) as archive:
        log = pd.DataFrame(json.loads(archive.read(archive.namelist()[0])))
    return log.set_index(log["question_id"].astype(int))


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


_HELM = "benchmark-prediction/{}.jbl"
_TORCH_MEASURE = "torch-measure/{}_response_matrix.csv"
_MMLU_PRO = [_TORCH_MEASURE.format("mmlupro"), "mmlu-pro/model_outputs_Llama-2-7b-hf_5shots.zip"]
DATASETS = {  # name: (reader, files)
    **{name: (_read_helm_lite, [_HELM.format(file)]) for name, file in _HELM_FILES.items()},
    "mmlu_pro": (_read_mmlu_pro, _MMLU_PRO),
    "mmlu_math": (_read_mmlu_math, _MMLU_PRO),
    "swe_bench_verified": (_read_swe_bench, [_TORCH_MEASURE.format("swebench")]),
    "bigcodebench": (_read_bigcodebench, [_TORCH_MEASURE.format("bigcodebench")]),
    "digits_zoo": (_read_digits_zoo, []),
}


def _dataset(name):
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
    reader, _ = _dataset(name)
    if systems and name not in ("mmlu_pro", "mmlu_math"):
        raise ValueError(f"systems=True is for mmlu_pro and mmlu_math; {name} has no systems")
    contents = [io.BytesIO(_fetch(entry)[1]) for entry in files(name)]
    return reader(name, *contents, **({"systems": True} if systems else {}))


def model_table(name):
    """What is known of the models of data set `name`: a data frame, indexed by the model's name.

    The digits zoo has group, family, settings, parameters and accuracy; the HELM-Lite benchmarks
    have the developer.
    Raises ValueError where nothing but the name is known.
    """
    _dataset(name)
    if name == "digits_zoo":
        return pd.read_csv(FACTS / "digits_zoo.csv", index_col="model")
    if name in HELM_LITE and name != "legalbench":  # LegalBench's rows have no names
        models = list(_helm_models())
        return pd.DataFrame(
            {"developer": [m.split("_")[0] for m in models]}, index=pd.Index(models, name="model")
        )
    raise ValueError(f"nothing but the names is known of the models of {name!r}")
