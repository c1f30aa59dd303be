"""The digits zoo as stored is consistent, varied, and what its models give anew."""

import csv
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
FACTS = ROOT / "benchpred_utils" / "facts"
# Rounding differs between processors and versions: it flips a few digits between two classes.
SAME_CLASSICAL, SAME_NETWORK = 0.995, 0.97

CLASSICAL = [
    "logreg-c1-top",
    "lda-left",
    "bnb",
    "knn-3-moved",
    "svm-rbf",
    "tree-d6",
    "forest-10",
    "ridge-flip75",
    "bag-1nn",
    "pca5-qda",
]
# Cheap, and far enough from perfect that no other model gets nearly the same digits right.
NETWORKS = [
    "cnn-w8-d2-e4-norm",
    "cnn-w16-d2-e20-drop0.3-n300",
    "vit-p4-w16-d1-e8",
    "vit-p4-w32-d2-e40-n100",
]


@pytest.fixture(scope="module")
def zoo():
    """Load the training script, which is no part of the installed package."""
    source = importlib.util.spec_from_file_location(
        "train_zoo", ROOT / "book" / "zoo" / "train_zoo.py"
    )
    module = sys.modules["train_zoo"] = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def arrays():
    """Return the stored arrays, with the matrix unpacked."""
    with np.load(FACTS / "digits_zoo.npz") as stored:
        arrays = dict(stored)
    arrays["correct"] = np.unpackbits(arrays["correct"], axis=1, count=int(arrays["shape"][1]))
    return arrays


@pytest.fixture(scope="module")
def table():
    """Return the stored table of models, one dictionary a row."""
    with (FACTS / "digits_zoo.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def rows(arrays, table):
    """Return each model's stored row by its name."""
    return {row["model"]: correct for row, correct in zip(table, arrays["correct"], strict=True)}


def is_same_model(trained, stored, share):
    """Tell whether two rows agree on at least the given share of the digits."""
    return bool(np.mean(trained == stored) >= share)


def models_like(trained, rows, share):
    """Name the models whose stored rows pass the check against a trained one."""
    return [name for name, stored in rows.items() if is_same_model(trained, stored, share)]


def test_files_fit_together(zoo, arrays, table):
    assert tuple(arrays["shape"]) == arrays["correct"].shape == (len(table), 1797)
    assert [row["model"] for row in table] == list(zoo.ZOO)
    assert len(zoo.ZOO) == len(zoo.CLASSICAL) + len(zoo.CNNS) + len(zoo.VITS), (
        "two models share a name"
    )
    for row in table:
        spec = zoo.ZOO[row["model"]]
        assert (row["group"], row["family"], row["settings"]) == (
            spec.group,
            spec.family,
            spec.settings,
        )
        assert row["parameters"] == "" or int(row["parameters"]) > 0
    assert [row["accuracy"] for row in table] == [
        f"{mean:.4f}" for mean in arrays["correct"].mean(1)
    ]


def test_files_are_small():
    assert sum((FACTS / f"digits_zoo.{kind}").stat().st_size for kind in ("npz", "csv")) < 100_000


def test_labels_and_folds_are_those_of_the_digits(zoo, arrays):
    _, label, fold = zoo.digits()
    assert np.array_equal(arrays["label"], label)
    assert np.array_equal(arrays["fold"], fold)
    assert np.array_equal(np.unique(fold), np.arange(5))


def test_groups_are_large_and_varied(table):
    accuracies = {}
    for row in table:
        accuracies.setdefault(row["group"], []).append(float(row["accuracy"]))
    assert set(accuracies) == {"classical", "cnn", "transformer"}
    assert len(table) >= 120
    assert len(accuracies["cnn"]) >= 20
    assert len(accuracies["transformer"]) >= 20
    assert all(np.ptp(values) >= 0.4 for values in accuracies.values())
    everyone = np.sort(np.concatenate(list(accuracies.values())))
    assert everyone[0] <= 0.25
    assert everyone[-1] >= 0.98
    assert np.diff(everyone).max() <= 0.1, "a hole in the range of accuracies"


def test_no_two_models_are_alike(rows):
    for name, stored in rows.items():
        assert models_like(stored, rows, SAME_CLASSICAL) == [name]


@pytest.mark.parametrize("name", CLASSICAL)
def test_classical_model_trains_to_its_own_row_and_to_no_other(name, zoo, rows):
    assert models_like(zoo.correctness(name), rows, SAME_CLASSICAL) == [name]


@pytest.mark.parametrize("name", NETWORKS)
def test_network_trains_to_its_own_row_and_to_no_other(name, zoo, rows):
    pytest.importorskip("torch")
    assert models_like(zoo.correctness(name), rows, SAME_NETWORK) == [name]


def test_check_rejects_the_row_of_another_model(rows):
    # The closest pairs are the hard case: the check must tell apart even those that it is used on.
    assert not is_same_model(rows["knn-5"], rows["knn-8-cosine"], SAME_CLASSICAL)
    assert not is_same_model(rows["cnn-w8-d2-e4-norm"], rows["vit-p4-w16-d1-e8"], SAME_NETWORK)
    assert is_same_model(rows["knn-5"], rows["knn-5"].copy(), 1.0)


def test_stored_size_is_the_size_of_a_fresh_fit(zoo, table):
    sizes = {row["model"]: row["parameters"] for row in table}
    for name in ("logreg-c1-n100", "tree-d3", "knn-1-n50", "pca2-logreg"):
        assert int(sizes[name]) == zoo.n_parameters(name)


def test_classical_models_need_no_torch(zoo, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert zoo.correctness("centroid").mean() > 0.8


def test_saving_leaves_the_two_files_alone_and_always_the_same_bytes(zoo, tmp_path):
    results = {"lda": (zoo.correctness("lda"), 650), "centroid": (zoo.correctness("centroid"), 640)}
    for folder in ("first", "second"):
        zoo.save(results, tmp_path / folder)
        assert {path.name for path in (tmp_path / folder).iterdir()} == {
            "digits_zoo.npz",
            "digits_zoo.csv",
        }
    for name in ("digits_zoo.npz", "digits_zoo.csv"):
        assert (tmp_path / "first" / name).read_bytes() == (tmp_path / "second" / name).read_bytes()
