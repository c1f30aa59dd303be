"""The digits zoo: which of the 1,797 handwritten digits each of many real classifiers gets right.

Every model is trained five times, each time without one fold, and is scored on the fold it did not
see.  Weak models are weak for honest reasons: few labels, random labels, hidden pixels, few epochs,
or a small size.
"""

import argparse
import csv
import importlib.util
import os
import time
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.decomposition import NMF, PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis, QuadraticDiscriminantAnalysis
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    ExtraTreesClassifier,
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.gaussian_process.kernels import RBF
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression, Perceptron, RidgeClassifier, SGDClassifier
from sklearn.model_selection import StratifiedKFold, train_test_split
from sklearn.naive_bayes import BernoulliNB, ComplementNB, GaussianNB, MultinomialNB
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.random_projection import GaussianRandomProjection
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

HERE = Path(__file__).resolve().parent
FACTS = HERE.parents[1] / "benchpred_utils" / "facts"
FOLDS = 5


@dataclass(frozen=True)
class ModelSpec:
    """One model: what it is, what it gets to see, and how to build it from a seed."""

    name: str
    group: str
    family: str
    settings: str
    build: Callable[[int], Any]
    view: str = "all"
    labels: int | None = None
    flip: float = 0.0


# --- What a model gets to see ---------------------------------------------------------------------


def _window(rows: slice, columns: slice) -> Callable:
    """Return a view that hides every pixel outside a rectangle."""
    shown = np.zeros((8, 8))
    shown[rows, columns] = 1
    return lambda images, rng: images * shown


def _coarse(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Replace each 2 x 2 square by its mean."""
    means = images.reshape(-1, 4, 2, 4, 2).mean((2, 4))
    return means.repeat(2, axis=1).repeat(2, axis=2)


def _moved(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Roll each image by up to two pixels both ways."""
    shifts = rng.integers(-2, 3, size=(len(images), 2))
    return np.stack(
        [np.roll(image, shift, axis=(0, 1)) for image, shift in zip(images, shifts, strict=True)]
    )


def _dots(images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Show a dozen pixels, the same ones in all images."""
    return images * np.isin(np.arange(64), rng.choice(64, 12, replace=False)).reshape(8, 8)


EVERY = slice(None)
VIEWS = {
    "all": (lambda images, rng: images, ""),
    "top": (_window(slice(0, 4), EVERY), "top half"),
    "bottom": (_window(slice(4, 8), EVERY), "bottom half"),
    "left": (_window(EVERY, slice(0, 4)), "left half"),
    "right": (_window(EVERY, slice(4, 8)), "right half"),
    "centre": (_window(slice(2, 6), slice(2, 6)), "inner 4 x 4 pixels"),
    "corner": (_window(slice(0, 3), slice(0, 4)), "upper left 3 x 4 pixels"),
    "row": (_window(slice(3, 5), EVERY), "two middle rows"),
    "line": (_window(slice(2, 3), EVERY), "one row"),
    "column": (_window(EVERY, slice(3, 5)), "two middle columns"),
    "binary": (lambda images, rng: (images > 0.5).astype(float), "black or white"),
    "coarse": (_coarse, "4 x 4 means"),
    "moved": (_moved, "rolled by up to 2 pixels"),
    "dots": (_dots, "12 pixels"),
    # Clipping keeps noisy pixels non-negative, which some models need and all pixels were before.
    "noisy": (
        lambda images, rng: (images + rng.normal(0, 0.5, images.shape)).clip(0),
        "noisy pixels",
    ),
    "grainy": (
        lambda images, rng: (images + rng.normal(0, 1.0, images.shape)).clip(0),
        "very noisy pixels",
    ),
}


def _suffix(view: str, labels: int | None, flip: float) -> str:
    """Spell a handicap in a model's name."""
    shown = "" if view == "all" else f"-{view}"
    few = f"-n{labels}" if labels else ""
    wrong = f"-flip{100 * flip:.0f}" if flip else ""
    return shown + few + wrong


def _describe(settings: str, view: str, labels: int | None, flip: float) -> str:
    """Spell settings and handicap for a reader."""
    few = f"{labels} labels" if labels else ""
    wrong = f"{flip:.0%} random labels" if flip else ""
    return ", ".join(part for part in (settings, VIEWS[view][1], few, wrong) if part)


# --- Classical models -----------------------------------------------------------------------------


def _seeded(prototype: Any, seed: int) -> Any:
    """Copy an estimator and give every random part of it the seed."""
    estimator = clone(prototype)
    random = [key for key in estimator.get_params() if key.endswith("random_state")]
    return estimator.set_params(**dict.fromkeys(random, seed))


def _classical(
    stem: str, family: str, settings: str, prototype: Any, view="all", labels=None, flip=0.0
) -> ModelSpec:
    """Describe a scikit-learn model."""
    name = stem + _suffix(view, labels, flip)
    text = _describe(settings, view, labels, flip)
    return ModelSpec(
        name, "classical", family, text, partial(_seeded, prototype), view, labels, flip
    )


LOGISTIC, DISCRIMINANT, BAYES = "logistic regression", "discriminant analysis", "naive Bayes"
NEIGHBOURS, CENTROID, LINEAR, RIDGE = (
    "k nearest neighbours",
    "nearest centroid",
    "online linear model",
    "ridge",
)
MACHINE, TREE, FOREST, EXTRA = (
    "support vector machine",
    "decision tree",
    "random forest",
    "extra trees",
)
BOOSTING, BAGGING, PERCEPTRON, PROCESS = (
    "boosting",
    "bagging",
    "multi-layer perceptron",
    "Gaussian process",
)
REDUCED = "reduced dimension"


def _logistic(c=1.0):
    """Logistic regression."""
    return LogisticRegression(C=c, max_iter=300)


def _tree(depth=None, **options):
    """A single tree."""
    return DecisionTreeClassifier(max_depth=depth, **options)


def _forest(trees, kind=RandomForestClassifier, **options):
    """Many trees, each grown with its own randomness."""
    return kind(n_estimators=trees, **options)


def _mlp(*sizes, epochs=60, **options):
    """A perceptron with the given hidden layers."""
    return MLPClassifier(sizes, max_iter=epochs, learning_rate_init=0.005, **options)


def _knn(k, **options):
    """The vote of the nearest training digits."""
    return KNeighborsClassifier(k, **options)


def _qda(shrinkage=0.0):
    """One Gaussian per class, each with its own covariance."""
    return QuadraticDiscriminantAnalysis(reg_param=shrinkage)


def _gnb(smoothing=1e-9):
    """One Gaussian per class and pixel."""
    return GaussianNB(var_smoothing=smoothing)


def _hist(rounds, **options):
    """Gradient boosting on binned pixels."""
    return HistGradientBoostingClassifier(max_iter=rounds, **options)


def _gradient(rounds, **options):
    """Plain gradient boosting."""
    return GradientBoostingClassifier(n_estimators=rounds, **options)


def _adaboost(weak, rounds):
    """Weak trees, each trained on what its predecessors got wrong."""
    return AdaBoostClassifier(weak, n_estimators=rounds)


def _passive():
    """The passive-aggressive rule: correct each mistake by the smallest step that suffices."""
    return SGDClassifier(learning_rate="pa1", eta0=1.0, penalty=None)


def _nystroem(landmarks):
    """Similarities to a few training digits, as features."""
    return Nystroem(gamma=0.1, n_components=landmarks)


CLASSICAL = [
    _classical("logreg-c1", LOGISTIC, "C = 1", _logistic()),
    _classical("logreg-c0.001", LOGISTIC, "C = 0.001", _logistic(0.001)),
    _classical("logreg-c100", LOGISTIC, "C = 100", _logistic(100)),
    _classical("logreg-c1", LOGISTIC, "C = 1", _logistic(), labels=20),
    _classical("logreg-c1", LOGISTIC, "C = 1", _logistic(), labels=100),
    _classical("logreg-c1", LOGISTIC, "C = 1", _logistic(), view="top"),
    _classical("logreg-c1", LOGISTIC, "C = 1", _logistic(), view="row"),
    _classical("logreg-c1", LOGISTIC, "C = 1", _logistic(), view="grainy"),
    _classical("logreg-c1", LOGISTIC, "C = 1", _logistic(), view="moved"),
    _classical("logreg-c1", LOGISTIC, "C = 1", _logistic(), flip=0.6),
    _classical("lda", DISCRIMINANT, "linear", LinearDiscriminantAnalysis()),
    _classical("lda", DISCRIMINANT, "linear", LinearDiscriminantAnalysis(), labels=100),
    _classical("lda", DISCRIMINANT, "linear", LinearDiscriminantAnalysis(), view="left"),
    _classical("lda", DISCRIMINANT, "linear", LinearDiscriminantAnalysis(), view="dots"),
    _classical("qda", DISCRIMINANT, "quadratic, shrunk by 0.1", _qda(0.1)),
    _classical("qda", DISCRIMINANT, "quadratic, shrunk by 0.1", _qda(0.1), view="centre"),
    _classical("gnb", BAYES, "Gaussian", _gnb(0.01)),
    _classical("gnb", BAYES, "Gaussian", _gnb(), labels=30),
    _classical("gnb", BAYES, "Gaussian", _gnb(0.01), view="bottom"),
    _classical("bnb", BAYES, "Bernoulli", BernoulliNB(binarize=0.5)),
    _classical("bnb", BAYES, "Bernoulli", BernoulliNB(binarize=0.5), view="column"),
    _classical("mnb", BAYES, "multinomial", MultinomialNB()),
    _classical("mnb", BAYES, "multinomial", MultinomialNB(), view="line"),
    _classical("cnb", BAYES, "complement", ComplementNB()),
    _classical("cnb", BAYES, "complement", ComplementNB(), view="right"),
    _classical("knn-1", NEIGHBOURS, "k = 1", _knn(1)),
    _classical("knn-5", NEIGHBOURS, "k = 5", _knn(5)),
    _classical("knn-60", NEIGHBOURS, "k = 60", _knn(60)),
    _classical("knn-400", NEIGHBOURS, "k = 400", _knn(400)),
    _classical("knn-8-cosine", NEIGHBOURS, "k = 8, cosine", _knn(8, metric="cosine")),
    _classical(
        "knn-3-chebyshev", NEIGHBOURS, "k = 3, largest difference", _knn(3, metric="chebyshev")
    ),
    _classical(
        "knn-3-hamming", NEIGHBOURS, "k = 3, Hamming", _knn(3, metric="hamming"), view="binary"
    ),
    _classical("knn-1", NEIGHBOURS, "k = 1", _knn(1), labels=10),
    _classical("knn-1", NEIGHBOURS, "k = 1", _knn(1), labels=50),
    _classical("knn-1", NEIGHBOURS, "k = 1", _knn(1), view="noisy"),
    _classical("knn-1", NEIGHBOURS, "k = 1", _knn(1), view="corner"),
    _classical("knn-3", NEIGHBOURS, "k = 3", _knn(3), view="moved"),
    _classical("knn-3", NEIGHBOURS, "k = 3", _knn(3), flip=0.5),
    _classical("centroid", CENTROID, "Euclidean", NearestCentroid()),
    _classical("centroid", CENTROID, "Euclidean", NearestCentroid(), view="row", labels=20),
    _classical(
        "centroid-manhattan",
        CENTROID,
        "Manhattan",
        NearestCentroid(metric="manhattan"),
        view="grainy",
    ),
    _classical("linsvm-c0.01", MACHINE, "linear, C = 0.01", LinearSVC(C=0.01)),
    _classical("linsvm-c1", MACHINE, "linear, C = 1", LinearSVC(), view="centre"),
    _classical("svm-rbf", MACHINE, "radial, C = 10", SVC(C=10)),
    _classical("svm-rbf-narrow", MACHINE, "radial, gamma = 2", SVC(gamma=2.0)),
    _classical("svm-rbf", MACHINE, "radial, C = 10", SVC(C=10), view="dots"),
    _classical("svm-rbf", MACHINE, "radial, C = 10", SVC(C=10), view="noisy", labels=200),
    _classical("svm-poly2", MACHINE, "quadratic, C = 0.01", SVC(kernel="poly", degree=2, C=0.01)),
    _classical("svm-poly6", MACHINE, "degree 6", SVC(kernel="poly", degree=6), labels=100),
    _classical("svm-sigmoid", MACHINE, "sigmoid", SVC(kernel="sigmoid"), view="bottom"),
    _classical("tree-d2", TREE, "depth 2", _tree(2)),
    _classical("tree-d3", TREE, "depth 3", _tree(3)),
    _classical("tree-d4", TREE, "depth 4", _tree(4)),
    _classical("tree-d6", TREE, "depth 6", _tree(6)),
    _classical("tree", TREE, "full depth", _tree()),
    _classical("tree-random", TREE, "random splits", _tree(splitter="random", max_features=1)),
    _classical("tree", TREE, "full depth", _tree(), labels=30),
    _classical("forest-3", FOREST, "3 trees", _forest(3)),
    _classical("forest-10", FOREST, "10 trees", _forest(10)),
    _classical("forest-100", FOREST, "100 trees", _forest(100)),
    _classical("forest-20-d2", FOREST, "20 trees of depth 2", _forest(20, max_depth=2)),
    _classical("forest-50", FOREST, "50 trees", _forest(50), view="line"),
    _classical("forest-50", FOREST, "50 trees", _forest(50), view="grainy"),
    _classical("extra-5", EXTRA, "5 trees", _forest(5, ExtraTreesClassifier)),
    _classical("extra-100", EXTRA, "100 trees", _forest(100, ExtraTreesClassifier)),
    _classical("extra-50", EXTRA, "50 trees", _forest(50, ExtraTreesClassifier), labels=50),
    _classical("extra-50", EXTRA, "50 trees", _forest(50, ExtraTreesClassifier), view="moved"),
    _classical("histboost-5", BOOSTING, "histogram, 5 rounds", _hist(5)),
    _classical("histboost-40", BOOSTING, "histogram, 40 rounds", _hist(40, max_leaf_nodes=8)),
    _classical("gradboost-3", BOOSTING, "gradient, 3 rounds of stumps", _gradient(3, max_depth=1)),
    _classical("adaboost-stump-40", BOOSTING, "AdaBoost, 40 stumps", _adaboost(_tree(1), 40)),
    _classical(
        "adaboost-d4-30", BOOSTING, "AdaBoost, 30 trees of depth 4", _adaboost(_tree(4), 30)
    ),
    _classical("bag-tree-d3", BAGGING, "15 trees of depth 3", BaggingClassifier(_tree(3), 15)),
    _classical(
        "bag-1nn",
        BAGGING,
        "10 x 1 neighbour, 5% of rows",
        BaggingClassifier(_knn(1), 10, max_samples=0.05),
    ),
    _classical(
        "bag-gnb",
        BAGGING,
        "10 x naive Bayes on 6 pixels",
        BaggingClassifier(_gnb(0.01), 10, max_features=6),
    ),
    _classical("mlp-2", PERCEPTRON, "2 hidden", _mlp(2)),
    _classical("mlp-4", PERCEPTRON, "4 hidden", _mlp(4)),
    _classical("mlp-64", PERCEPTRON, "64 hidden", _mlp(64)),
    _classical(
        "mlp-64-32-16", PERCEPTRON, "64, 32, 16 hidden, tanh", _mlp(64, 32, 16, activation="tanh")
    ),
    _classical("mlp-32-e3", PERCEPTRON, "32 hidden, 3 epochs", _mlp(32, epochs=3)),
    _classical("mlp-32", PERCEPTRON, "32 hidden", _mlp(32), labels=40),
    _classical("mlp-32", PERCEPTRON, "32 hidden", _mlp(32), view="noisy"),
    _classical("ridge", RIDGE, "alpha = 1", RidgeClassifier()),
    _classical("ridge", RIDGE, "alpha = 1", RidgeClassifier(), view="right"),
    _classical("ridge", RIDGE, "alpha = 1", RidgeClassifier(), view="corner"),
    _classical("ridge", RIDGE, "alpha = 1", RidgeClassifier(), flip=0.75),
    _classical("perceptron", LINEAR, "perceptron", Perceptron()),
    _classical(
        "perceptron-e1", LINEAR, "perceptron, 1 epoch", Perceptron(max_iter=1, tol=None), labels=60
    ),
    _classical("sgd-log", LINEAR, "logistic loss", SGDClassifier(loss="log_loss"), view="coarse"),
    _classical("passive", LINEAR, "passive-aggressive", _passive(), view="binary"),
    _classical(
        "process",
        PROCESS,
        "radial, width 2",
        GaussianProcessClassifier(RBF(2.0), optimizer=None),
        labels=150,
    ),
    _classical("pca1-knn-15", REDUCED, "1 component, k = 15", make_pipeline(PCA(1), _knn(15))),
    _classical(
        "pca2-logreg", REDUCED, "2 components, logistic", make_pipeline(PCA(2), _logistic())
    ),
    _classical("pca3-svm", REDUCED, "3 components, radial machine", make_pipeline(PCA(3), SVC())),
    _classical("pca5-qda", REDUCED, "5 components, quadratic", make_pipeline(PCA(5), _qda())),
    _classical(
        "pca20-gnb",
        REDUCED,
        "20 components, naive Bayes",
        make_pipeline(PCA(20, whiten=True), _gnb()),
    ),
    _classical(
        "nmf6-forest-20",
        REDUCED,
        "6 NMF parts, 20 trees",
        make_pipeline(NMF(6, max_iter=300), _forest(20)),
    ),
    _classical(
        "kmeans12-logreg", REDUCED, "12 clusters, logistic", make_pipeline(KMeans(12), _logistic())
    ),
    _classical(
        "random4-knn-5",
        REDUCED,
        "4 random sums, k = 5",
        make_pipeline(GaussianRandomProjection(4), _knn(5)),
    ),
    _classical(
        "nystroem20-ridge",
        REDUCED,
        "20 landmarks, ridge",
        make_pipeline(_nystroem(20), RidgeClassifier()),
    ),
]


# --- Neural networks ------------------------------------------------------------------------------


@cache
def _nets() -> Any:
    """Load the file next to this one that needs torch, only when a network is trained."""
    source = importlib.util.spec_from_file_location("zoo_nets", HERE / "nets.py")
    module = importlib.util.module_from_spec(source)
    source.loader.exec_module(module)
    return module


def _net(kind: str, config: dict, seed: int) -> Any:
    """Build a network classifier."""
    return _nets().NetClassifier(kind, seed, **config)


# Each option of a network: how the name spells it, and how the description does.
OPTIONS = {
    "patch": ("p{}", "patch {0} x {0}"),
    "width": ("w{}", "width {}"),
    "depth": ("d{}", "depth {}"),
    "heads": ("h{}", "heads {}"),
    "epochs": ("e{}", "epochs {}"),
    "dropout": ("drop{}", "dropout {}"),
    "optimiser": ("{}", "optimiser {}"),
    "lr": ("lr{}", "learning rate {}"),
    "shift": ("shift", "shifted training images"),
    "norm": ("norm", "batch normalisation"),
    "pool": ("pool", "mean over places"),
    "positions": ("nopos", "no positions"),
}


def _network(kind: str, stem: str, view="all", labels=None, flip=0.0, **config) -> ModelSpec:
    """Describe a network; its name spells the options in the order in which they are listed."""
    spelled = [OPTIONS[key][0].format(value) for key, value in config.items()]
    said = ", ".join(OPTIONS[key][1].format(value) for key, value in config.items())
    name = "-".join([stem, *spelled]) + _suffix(view, labels, flip)
    family, text = {"cnn": "CNN", "vit": "ViT"}[stem], _describe(said, view, labels, flip)
    return ModelSpec(name, kind, family, text, partial(_net, kind, config), view, labels, flip)


def _cnn(width: int, depth: int, epochs: int, **rest) -> ModelSpec:
    """Describe a convolutional network."""
    return _network("cnn", "cnn", width=width, depth=depth, epochs=epochs, **rest)


def _vit(patch: int, width: int, depth: int, epochs: int, **rest) -> ModelSpec:
    """Describe a Vision Transformer."""
    return _network(
        "transformer", "vit", patch=patch, width=width, depth=depth, epochs=epochs, **rest
    )


CNNS = [
    _cnn(32, 4, 25, norm=True, shift=True),
    _cnn(32, 2, 15),
    _cnn(16, 3, 10, dropout=0.5),
    _cnn(16, 6, 12, norm=True),
    _cnn(8, 1, 10),
    _cnn(8, 2, 4, norm=True),
    _cnn(4, 2, 6),
    _cnn(2, 2, 8),
    _cnn(1, 1, 6),
    _cnn(1, 3, 10),
    _cnn(1, 2, 15, shift=True),
    _cnn(4, 3, 12, pool=True),
    _cnn(16, 3, 8, pool=True),
    _cnn(32, 5, 12, pool=True, optimiser="rmsprop", lr=0.001),
    _cnn(8, 2, 2, optimiser="sgd", lr=0.005),
    _cnn(16, 2, 1),
    _cnn(16, 4, 4, optimiser="sgd", lr=0.02),
    _cnn(16, 2, 60, labels=20),
    _cnn(16, 2, 40, labels=50, shift=True),
    _cnn(24, 3, 40, labels=100, norm=True),
    _cnn(16, 2, 20, labels=300, dropout=0.3),
    _cnn(16, 2, 10, view="top"),
    _cnn(16, 2, 10, view="line"),
    _cnn(16, 3, 10, view="centre"),
    _cnn(16, 2, 10, view="noisy"),
    _cnn(24, 2, 10, dropout=0.3, view="grainy"),
    _cnn(16, 4, 15, norm=True, view="moved"),
    _cnn(8, 2, 10, flip=0.5),
    _cnn(16, 2, 12, view="column", flip=0.3),
]

VITS = [
    _vit(2, 48, 3, 30, heads=4, lr=0.003),
    _vit(4, 64, 3, 25, shift=True),
    _vit(4, 64, 2, 20, dropout=0.1),
    _vit(2, 32, 2, 20),
    _vit(2, 16, 4, 15, heads=4),
    _vit(1, 16, 1, 15, lr=0.01),
    _vit(1, 24, 2, 12, heads=4, lr=0.006),
    _vit(4, 16, 1, 8),
    _vit(2, 8, 1, 10),
    _vit(2, 4, 2, 12, heads=1, lr=0.01),
    _vit(2, 6, 1, 12, heads=1, lr=0.01),
    _vit(4, 4, 2, 8, heads=1),
    _vit(2, 32, 2, 3),
    _vit(4, 32, 3, 1),
    _vit(2, 32, 1, 5, optimiser="sgd", lr=0.02),
    _vit(2, 24, 6, 10, optimiser="rmsprop", lr=0.001),
    _vit(1, 16, 2, 10, lr=0.01, positions=False),
    _vit(2, 32, 2, 12, positions=False),
    _vit(4, 32, 2, 12, positions=False),
    _vit(2, 32, 2, 60, labels=20),
    _vit(2, 32, 2, 60, labels=50, shift=True),
    _vit(4, 32, 2, 40, labels=100),
    _vit(2, 32, 3, 40, labels=300, dropout=0.2),
    _vit(2, 32, 2, 12, view="left"),
    _vit(2, 32, 2, 12, view="row"),
    _vit(2, 24, 2, 10, view="noisy"),
    _vit(4, 32, 2, 10, view="grainy"),
    _vit(2, 32, 2, 15, view="moved"),
    _vit(2, 32, 2, 12, view="corner"),
    _vit(2, 32, 2, 10, flip=0.5),
]

ZOO: dict[str, ModelSpec] = {spec.name: spec for spec in CLASSICAL + CNNS + VITS}


# --- Training and scoring -------------------------------------------------------------------------


@cache
def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The images with pixels from 0 to 1, the labels, and the fold that tests each digit."""
    images, label = load_digits(return_X_y=True)
    fold = np.zeros(len(label), dtype=np.uint8)
    splits = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(images, label)
    for number, (_, test) in enumerate(splits):
        fold[test] = number
    return images.reshape(-1, 8, 8) / 16, label.astype(np.uint8), fold


def _seed(*parts: object) -> int:
    """Turn a name into a seed, so that a model does not depend on which others are trained."""
    return zlib.crc32("/".join(map(str, parts)).encode())


def _seen(spec: ModelSpec) -> np.ndarray:
    """Return the rows of pixels that a model gets."""
    images, _, _ = digits()
    view, _ = VIEWS[spec.view]
    return view(images, np.random.default_rng(_seed(spec.name, "view"))).reshape(len(images), -1)


def _fit(spec: ModelSpec, pixels: np.ndarray, number: int) -> Any:
    """Train a model without one fold, on as many and as wrong labels as it is allowed."""
    _, label, fold = digits()
    rows, seed = np.flatnonzero(fold != number), _seed(spec.name, number)
    if spec.labels:
        rows, _ = train_test_split(
            rows, train_size=spec.labels, stratify=label[rows], random_state=seed
        )
    rng = np.random.default_rng(seed)
    target = np.where(
        rng.random(len(rows)) < spec.flip, rng.integers(0, 10, len(rows)), label[rows]
    )
    with warnings.catch_warnings():
        # Stopping early and hiding pixels are on purpose: warnings of them say nothing new.
        warnings.simplefilter("ignore")
        return spec.build(seed).fit(pixels[rows], target)


def _evaluate(name: str) -> tuple[np.ndarray, int]:
    """Return a model's out-of-fold correctness and the size of its first fit."""
    spec, (_, label, fold) = ZOO[name], digits()
    pixels, correct, size = _seen(spec), np.zeros(len(label), dtype=np.uint8), 0
    for number in range(FOLDS):
        fitted, test = _fit(spec, pixels, number), fold == number
        correct[test] = fitted.predict(pixels[test]) == label[test]
        size = size or count_parameters(fitted)
    return correct, size


def correctness(name: str) -> np.ndarray:
    """Train one model of the zoo and return 1 for each digit it gets right out of fold, else 0."""
    return _evaluate(name)[0]


def n_parameters(name: str) -> int:
    """Train one model without the first fold and count what it stores."""
    return count_parameters(_fit(ZOO[name], _seen(ZOO[name]), 0))


# --- Sizes ----------------------------------------------------------------------------------------

# Fitted arrays that a prediction needs. A linear model may keep more, but predicts from two alone.
WEIGHTS = ("coef_", "intercept_")
STORED = (
    "coefs_ intercepts_ centroids_ theta_ var_ feature_log_prob_ class_log_prior_ means_ "
    "rotations_ scalings_ _fit_X support_vectors_ dual_coef_ intercept_ components_ "
    "normalization_ mean_ cluster_centers_ X_train_ pi_"
).split()


def count_parameters(fitted: Any) -> int:
    """Count the numbers that a fitted model keeps for its predictions."""
    if hasattr(fitted, "n_parameters"):
        return fitted.n_parameters
    if hasattr(fitted, "tree_"):
        # A split stores a pixel and a threshold, a leaf one number per class.
        leaves = int((fitted.tree_.children_left < 0).sum())
        return 2 * (leaves - 1) + leaves * fitted.tree_.value.shape[2]
    if hasattr(fitted, "_predictors"):
        return sum(
            2 * len(tree.nodes) - tree.get_n_leaf_nodes()
            for trees in fitted._predictors
            for tree in trees
        )
    if parts := _parts(fitted):
        return sum(map(count_parameters, parts))
    return sum(
        _numbers(getattr(fitted, name, ()))
        for name in (WEIGHTS if hasattr(fitted, "coef_") else STORED)
    )


def _parts(fitted: Any) -> list:
    """Return the fitted models of which a model consists, if any."""
    if isinstance(fitted, Pipeline):
        return [step for _, step in fitted.steps]
    # A Gaussian process for ten classes keeps its ten parts one level down.
    holder = getattr(fitted, "base_estimator_", fitted)
    return list(np.ravel(getattr(holder, "estimators_", [])))


def _numbers(stored: Any) -> int:
    """Count the numbers in an array or in a list of arrays."""
    return sum(map(np.size, stored)) if isinstance(stored, list) else np.size(stored)


# --- Files ----------------------------------------------------------------------------------------


def _replace(path: Path, write: Callable[[Path], None]) -> None:
    """Write a file under another name first, so that a reader never meets half of it."""
    scratch = path.with_name(f".{os.getpid()}-{path.name}")
    write(scratch)
    os.replace(scratch, path)


def save(results: dict[str, tuple[np.ndarray, int]], folder: Path) -> None:
    """Write the matrix and the table of models."""
    _, label, fold = digits()
    matrix = np.stack([correct for correct, _ in results.values()])

    def write_matrix(path):
        packed = np.packbits(matrix, axis=1)
        np.savez_compressed(
            path, correct=packed, shape=np.array(matrix.shape), fold=fold, label=label
        )

    def write_table(path):
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(["model", "group", "family", "settings", "parameters", "accuracy"])
            for name, (correct, size) in results.items():
                spec = ZOO[name]
                table.writerow(
                    [
                        name,
                        spec.group,
                        spec.family,
                        spec.settings,
                        size or "",
                        f"{correct.mean():.4f}",
                    ]
                )

    folder.mkdir(parents=True, exist_ok=True)
    _replace(folder / "digits_zoo.npz", write_matrix)
    _replace(folder / "digits_zoo.csv", write_table)


def main() -> None:
    """Train all models, or those named, with one line of progress each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", choices=list(ZOO), help="train these models only"
    )
    parser.add_argument(
        "--out", type=Path, help="folder for the files; with --only, nothing is written without it"
    )
    chosen = parser.parse_args()
    results = {}
    for name in chosen.only or ZOO:
        start = time.perf_counter()
        results[name] = _evaluate(name)
        print(
            f"{name:40s} {results[name][0].mean():.4f} {time.perf_counter() - start:6.1f} s",
            flush=True,
        )
    if chosen.out or not chosen.only:
        save(results, chosen.out or FACTS)


if __name__ == "__main__":
    main()
