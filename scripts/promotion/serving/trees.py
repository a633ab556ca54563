"""scikit-learn's forests and histogram boosters walk all their trees at once: a row costs a step for each level.

Asking tree after tree, the calls take ten times as long as the trees, and joblib's bookkeeping ten times as long as
those. The same validation, thresholds and order of sums, so the same bits; and that is shown, not believed. The first
rows that reach such a model (those of the proof at load, then of requests, until there were 64) are answered both ways,
and only if every bit is equal is the short way taken from then on. It holds wherever the model stands in another: in a
pipeline, a calibration, among others that vote. Of many rows scikit-learn's own loops take less, and are asked.
"""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np

from promotion.sandbox.proof import MOST_ROWS

MOST_NODES = 500_000  # copied as arrays, 50 bytes each; the trees of a larger model are asked one by one
LANES = 600  # a step for so many rows times trees takes twice the time of a step for one, or of asking one tree


class Walk:
    """Trees as one table of nodes. A leaf leads to itself, so all walk as long as the deepest.

    feature, threshold, left, right, leaf, right_if_missing: a value for each node of each tree, (nodes,); children are
    counted within their tree. value: (nodes,) or (nodes, classes). sizes: nodes of each tree, (trees,).
    """

    def __init__(
        self,
        *,
        feature: np.ndarray,
        threshold: np.ndarray,
        left: np.ndarray,
        right: np.ndarray,
        leaf: np.ndarray,
        right_if_missing: np.ndarray,
        value: np.ndarray,
        sizes: Sequence[int],
    ) -> None:
        self.roots: Any = np.cumsum(sizes) - sizes
        own, first = np.arange(len(leaf)), np.repeat(self.roots, sizes)
        self.feature = np.where(leaf, 0, feature).astype(np.intp)
        self.threshold = np.where(leaf, np.inf, threshold)
        self.right_if_missing = right_if_missing & ~leaf
        children = [np.where(leaf, own, first + child.astype(np.intp)) for child in (left, right)]
        self.children = np.stack(children, axis=1).ravel()
        self.value = np.ascontiguousarray(value)
        self.depth, level = 0, self.roots
        while len(level := level[~leaf[level]]):
            level = np.concatenate([child[level] for child in children])
            self.depth += 1

    def worth(self, rows: int) -> bool:
        """Whether it takes less time than asking tree after tree."""
        return self.depth * (1 + rows * len(self.roots) / LANES) < len(self.roots)

    def values(self, X: np.ndarray) -> np.ndarray:
        """Return what the leaf of each row of X, (rows, features), has in each tree: (rows, trees) or with classes."""
        flat, missing = X.ravel(), np.isnan(X).any()
        first = np.arange(0, X.size, X.shape[1])[:, None]
        at: Any = np.tile(self.roots, (len(X), 1))
        for _ in range(self.depth):
            found = flat.take(self.feature.take(at) + first)
            right = found > self.threshold.take(at)
            if missing:
                right |= np.isnan(found) & self.right_if_missing.take(at)
            at = self.children.take(2 * at + right)
        return self.value[at]


Pick = Callable[[int], Walk | None]  # what walks so many rows; None: they are asked tree by tree


@dataclass
class Seen:
    """What is known of a model. rows: those with equal answers, -inf where some were not. trees: those `walk` is of."""

    rows: float = 0
    trees: Sequence[Any] = ()
    count: int = 0
    walk: Walk | None = None

    @property
    def shown(self) -> bool:
        """Whether the short way may be taken."""
        return self.rows >= MOST_ROWS

    def told(self, rows: int, *, equal: bool) -> None:
        """Both ways were asked."""
        self.rows = self.rows + rows if equal else -np.inf

    def look(self, trees: Sequence[Any], tabled: Callable[[Any], Walk | None]) -> None:
        """Make a table of the trees where they are not those that were seen before."""
        if self.trees is not trees or self.count != len(trees):
            try:
                self.walk = tabled(trees)
            except Exception:  # another release of scikit-learn calls things otherwise
                self.walk = None
            self.trees, self.count = trees, len(trees)

    def pick(self, rows: int) -> Walk | None:
        """What walks so many rows, where that takes less time."""
        return self.walk if self.walk is not None and self.walk.worth(rows) else None


_seen: WeakKeyDictionary[Any, Seen] = WeakKeyDictionary()


def walk_trees_at_once() -> None:
    """From now on, in this process, such models take the short way where it was shown to give the same bits."""
    from sklearn import ensemble  # type: ignore[import-untyped]

    for classifier in (ensemble.RandomForestClassifier, ensemble.ExtraTreesClassifier):
        _shorten_forest(classifier, "predict_proba", _shares)
    for regressor in (ensemble.RandomForestRegressor, ensemble.ExtraTreesRegressor):
        _shorten_forest(regressor, "predict", _values)
    for booster in (ensemble.HistGradientBoostingClassifier, ensemble.HistGradientBoostingRegressor):
        _shorten_booster(booster)


def _shorten_forest(kind: Any, name: str, short: Callable[[Any, Any, Pick], np.ndarray]) -> None:
    own = getattr(kind, name)

    @functools.wraps(own)
    def answer(forest: Any, X: Any) -> Any:
        seen = _seen.setdefault(forest, Seen())
        if seen.shown:
            seen.look(forest.estimators_, _of_forest)
            return short(forest, X, seen.pick)
        answers = own(forest, X)
        if seen.rows >= 0:  # a class of one's own may ask its trees for something else
            seen.look(forest.estimators_, _of_forest)
            ways = [lambda rows, walk=walk: walk for walk in {seen.walk, None}]
            equal = type(forest) is kind and all(
                _equal(functools.partial(short, forest, X, way), answers) for way in ways
            )
            seen.told(len(answers), equal=equal)
        return answers

    setattr(kind, name, answer)


def _equal(short: Callable[[], np.ndarray], answers: Any) -> bool:
    try:
        found = short()
        return (found.dtype, found.shape, found.tobytes()) == (answers.dtype, answers.shape, answers.tobytes())
    except Exception:  # several outputs are a list
        return False


def _shares(forest: Any, X: Any, pick: Pick) -> np.ndarray:
    """Mean of the trees' shares of classes, (rows, classes)."""
    return _mean(forest, X, forest.n_classes_, pick)


def _values(forest: Any, X: Any, pick: Pick) -> np.ndarray:
    """Mean of the trees' values, (rows,)."""
    return _mean(forest, X, 1, pick)[:, 0]


def _mean(forest: Any, X: Any, columns: int, pick: Pick) -> np.ndarray:
    X = forest._validate_X_predict(X)
    walk = pick(X.shape[0]) if isinstance(X, np.ndarray) else None
    if walk is not None:
        total = np.add.accumulate(walk.values(X), axis=1)[:, -1] + 0.0  # in the loop's order, and no -0.0
    else:
        total = np.zeros((X.shape[0], columns))
        for tree in forest.estimators_:
            total += tree.tree_.predict(X)
    total /= len(forest.estimators_)
    return total


def _of_forest(trees: Sequence[Any]) -> Walk | None:
    inner = [tree.tree_ for tree in trees]
    sizes = [tree.node_count for tree in inner]
    if sum(sizes) > MOST_NODES:
        return None

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(tree, name) for tree in inner])

    return Walk(
        feature=joined("feature"),
        threshold=joined("threshold"),
        left=joined("children_left"),
        right=joined("children_right"),
        leaf=joined("children_left") < 0,
        right_if_missing=~joined("missing_go_to_left").astype(bool),
        value=joined("value")[:, 0],
        sizes=sizes,
    )


def _shorten_booster(kind: Any) -> None:
    own = kind._predict_iterations

    @functools.wraps(own)
    def add(booster: Any, X: Any, predictors: Any, raw_predictions: Any, is_binned: Any, n_threads: Any) -> None:
        usual = functools.partial(own, booster, X, predictors, raw_predictions, is_binned, n_threads)
        seen = _seen.setdefault(booster, Seen())
        if is_binned or predictors is not booster._predictors or seen.rows < 0:  # in a fit, or one part after another
            return usual()
        seen.look(predictors, _of_booster)
        if seen.shown:
            walk = seen.pick(len(X))
            if walk is None:
                return usual()
            raw_predictions[:] = _sum(walk, X, raw_predictions)
            return None
        before = raw_predictions.copy()
        usual()
        walk = seen.walk
        equal = walk is not None and _equal(functools.partial(_sum, walk, X, before), raw_predictions)
        seen.told(len(X), equal=equal)
        return None

    kind._predict_iterations = add


def _sum(walk: Walk, X: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Add all trees' values to those before, (rows, trees of an iteration), one iteration after the other."""
    values = walk.values(X).reshape(len(X), -1, before.shape[1])
    return np.add.accumulate(np.concatenate([before[:, None], values], axis=1), axis=1)[:, -1]


def _of_booster(predictors: Sequence[Any]) -> Walk | None:
    nodes = [tree.nodes for iteration in predictors for tree in iteration]
    sizes = [len(tree) for tree in nodes]
    if sum(sizes) > MOST_NODES or any(tree["is_categorical"].any() for tree in nodes):
        return None
    joined = np.concatenate(nodes)
    return Walk(
        feature=joined["feature_idx"],
        threshold=joined["num_threshold"],
        left=joined["left"],
        right=joined["right"],
        leaf=joined["is_leaf"].astype(bool),
        right_if_missing=~joined["missing_go_to_left"].astype(bool),
        value=joined["value"],
        sizes=sizes,
    )
