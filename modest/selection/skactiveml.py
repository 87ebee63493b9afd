"""Every strategy as a query strategy of scikit-activeml: ``Strategy(method).query(X, y, ...)``, for its loops.

Reference: Kottke et al., scikit-activeml, 2021; the contract is that of its ``SingleAnnotatorPoolQueryStrategy``.

    symbol      variable     shape     meaning
    X           X            (n, d)    samples; several modalities are columns of it, named by ``views``
    y           y            (n,)      labels, ``missing_label`` where unknown; the other rows are taken
    candidates  free         (c,)      rows that may be chosen; None: all without a label
    u           utilities    (b, n)    one row per pick, (b, c) where candidates are arrays

    u[i, j] = NaN    where j is labelled, no candidate, or picked before turn i
              s_j    the score (``Choice.scores``) of the row picked in turn i; for ``random``, ``entropy`` and
                     ``margin``, which judge rows one by one, of every row
              -inf   any other candidate: not picked, and what it would have been worth is not known

so that the largest of u[i] is pick i for every method. Scores that rounding has out of order are lowered to the one
before. Candidates given as arrays are the pool, beside the labelled rows of X; candidates given as row numbers are
chosen from, and the other unlabelled rows stay in the pool that is to be covered.

What a warm method needs is made from ``clf``, trained as the library does (``fit_clf``): proba by ``predict_proba``;
features are the views, or the embeddings that ``predict_proba`` gives beside its probabilities; coalition_proba are
predictions with the columns of all other modalities zero; the head of a linear model by ``coef_``. A classifier that
has ``arrays``, as :class:`modest.MultimodalClassifier`, is asked for them instead.
Departures: a modality is absent where its columns are NaN, which the library refuses; for ``clf`` they are zero.
Any classifier will do, also one that knows no missing labels. Cost as the method's; b n for utilities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from modest.checks import known
from modest.selection import METHODS, select
from modest.selection.from_sklearn import cut, warm_arrays
from modest.types import Bool, Choice, Float, Int, Views

try:
    from skactiveml.base import SingleAnnotatorPoolQueryStrategy, SkactivemlClassifier
    from skactiveml.utils import MISSING_LABEL, check_equal_missing_label, check_scalar, is_labeled
except ImportError:
    raise ImportError(
        "modest.selection.skactiveml needs scikit-activeml; install it with: pip install 'modest[bench]'"
    ) from None

__all__ = ["Strategy"]

ROW_BY_ROW = ("random", "entropy", "margin")
_FLOATS = {"dtype": [np.float64, np.float32], "ensure_all_finite": "allow-nan"}


class Strategy(SingleAnnotatorPoolQueryStrategy):  # type: ignore[misc]
    """One method of ``modest.selection.METHODS`` as a query strategy of scikit-activeml; clones and pickles.

    Parameters
    ----------
    method : str
        A name in ``METHODS``.
    views : mapping name -> columns, optional
        Slices or lists of columns, each column in one of them; left out, all columns are one modality ``x``.
    knobs : mapping, optional
        Parameters of the method, and ``memory`` and ``device``, as :func:`modest.select` takes them.
    clf_embedding_flag_name : str or dict, optional
        Passed to ``clf.predict_proba``, which then gives (proba, embeddings), as for the library's Badge; embeddings
        are one (n, e) array or a mapping modality -> (n, e).
    missing_label : scalar, str, None or NaN
        What stands in y for an unknown label.
    random_state : int, RandomState or None
        Draws change with the number of unlabelled rows, as everywhere in the library.

    Examples
    --------
    >>> X = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [-1.0, 0.0]])
    >>> y = np.full(4, np.nan)
    >>> Strategy("maxherding", random_state=0).query(X, y, batch_size=2).tolist()
    [1, 3]
    """

    def __init__(
        self, method: str, views: Any = None, knobs: Any = None, clf_embedding_flag_name: Any = None,
        missing_label: Any = MISSING_LABEL, random_state: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(missing_label=missing_label, random_state=random_state)
        self.method, self.views, self.knobs = method, views, knobs
        self.clf_embedding_flag_name = clf_embedding_flag_name

    def query(
        self, X: Any, y: Any, *, clf: Any = None, fit_clf: bool = True, sample_weight: Any = None,
        candidates: Any = None, batch_size: int = 1, return_utilities: bool = False,
    ) -> Int | tuple[Int, Float]:  # fmt: skip
        """Rows to label next, most important first, and on request their utilities.

        Parameters
        ----------
        X : (n, d)
            Samples; a row of zeros has no direction and is refused.
        y : (n,)
            Labels, ``missing_label`` where unknown.
        clf : classifier, optional
            With ``predict_proba``; for methods that need one (``uherding`` can do without), left alone by the others.
        fit_clf : bool
            Train a clone of ``clf`` on X, y and ``sample_weight`` (n,) first; ``clf`` itself stays as it is. As long as
            y knows fewer than two classes, methods that can do without are not shown it.
        candidates : None, (c,) int or (c, d)
            All unlabelled rows, rows of X without a label, or samples of their own.
        batch_size : int
            Rows to choose; more than there are candidates is a warning, and all of them.
        return_utilities : bool
            Give (b, n) or (b, c) utilities as well; see the top of this file.

        Returns
        -------
        (b,) int64 rows of X, or of ``candidates`` where these are arrays; with utilities a pair.

        Raises
        ------
        ValueError
            Unknown method, views that are no partition of the columns, a labelled candidate, whatever the method needs
            and ``clf`` cannot give, and what :func:`modest.select` refuses.
        TypeError
            A method that needs ``clf`` without one, or one that is no classifier.
        """
        X, y, candidates, batch_size, return_utilities = self._validate_data(
            X, y, candidates, batch_size, return_utilities, reset=True, check_X_dict=_FLOATS
        )
        offered, at = self._transform_candidates(candidates, X, y, allow_only_unlabeled=True)
        entry = METHODS[known(self.method, METHODS, "method")]
        check_scalar(fit_clf, "fit_clf", bool)
        labelled = is_labeled(y, self.missing_label_)
        if not batch_size:
            none = np.empty(0, dtype=np.int64)
            return (none, np.empty((0, len(X if at is not None else offered)))) if return_utilities else none
        blocks = _blocks(self.views, X.shape[1])
        pool = _pooled(X, y, labelled, offered, at)
        if fit_clf and entry.cold and len(set(y[labelled].tolist())) < 2:
            clf = None  # it would have nothing to say, and the method can do without
        wanted = entry.needs if clf is None else (*entry.needs, *entry.uses)
        arrays: dict[str, Any] = {}
        if wanted:
            if clf is not None and fit_clf:
                clf = self._fitted(clf, X, y, labelled, blocks, sample_weight)
            arrays = warm_arrays(clf, wanted, pool.X, blocks, pool.taken, pool.known, self.clf_embedding_flag_name)
        every = return_utilities and self.method in ROW_BY_ROW
        seed = int(self.random_state_.randint(2**31 - 1))
        choice = select(
            Views(cut(pool.X, blocks), ids=pool.ids), len(pool.free) if every else batch_size, self.method, seed,
            pool.taken, closed=pool.closed if pool.closed.any() else None, **arrays, **(self.knobs or {}),
        )  # fmt: skip
        if not return_utilities:
            return choice.rows
        rows, utilities = choice.rows[:batch_size], _utilities(choice, batch_size, len(pool.X), pool.free, every)
        return rows, utilities if at is not None else utilities[:, : len(offered)]

    def _fitted(self, clf: Any, X: Any, y: Any, labelled: Bool, blocks: Mapping[str, Int], weight: Any) -> Any:
        """A trained clone."""
        if not hasattr(clf, "fit") or isinstance(clf, type):
            raise TypeError(f"clf is {type(clf).__name__}; give a classifier with fit and predict_proba.")
        given = Views(cut(X, blocks)) if hasattr(clf, "arrays") else np.nan_to_num(X)
        weights = () if weight is None else (np.asarray(weight),)
        if weights and weights[0].shape != y.shape:
            raise ValueError(f"sample_weight has shape {weights[0].shape}; it must hold one weight per row, {y.shape}.")
        if isinstance(clf, SkactivemlClassifier):
            check_equal_missing_label(clf.missing_label, self.missing_label_)
            return clone(clf).fit(given, y, *weights)
        if not labelled.any():
            raise ValueError("y has no label to train clf on; label some rows, or give a SkactivemlClassifier.")
        return clone(clf).fit(given[labelled], y[labelled], *(w[labelled] for w in weights))


@dataclass(frozen=True, eq=False)
class _Pool:
    """Rows to select from: X (n, d), which are labelled and which closed (n,), the known labels, candidates, ids."""

    X: NDArray[np.floating]
    taken: Bool
    closed: Bool
    known: NDArray[Any]
    free: Int
    ids: NDArray[np.str_]


def _pooled(X: Any, y: Any, labelled: Bool, offered: Any, at: Int | None) -> _Pool:
    """The pool; ids number candidates first, so that candidates of X give one answer as rows and as arrays."""
    known, free = y[labelled], np.arange(len(offered)) if at is None else np.asarray(at)
    if at is None:
        X = np.concatenate([offered, X[labelled]])
        labelled = np.arange(len(X)) >= len(offered)
    closed = ~labelled
    closed[free] = False
    place = np.empty(len(X), dtype=np.int64)
    place[np.concatenate([free, np.flatnonzero(labelled), np.flatnonzero(closed)])] = np.arange(len(X))
    return _Pool(X, labelled, closed, known, free, np.char.zfill(place.astype(np.str_), len(str(len(X)))))


def _blocks(views: Mapping[str, Any] | None, d: int) -> dict[str, Int]:
    """Columns of every modality."""
    asked = views or {"x": slice(None)}
    try:
        blocks = {str(name): np.arange(d)[columns] for name, columns in asked.items()}
    except IndexError:
        blocks = {}
    if sorted(column for block in blocks.values() for column in block.tolist()) != list(range(d)):
        raise ValueError(f"views must name each of the {d} columns of X once; it is {dict(asked)}.")
    return blocks


def _utilities(choice: Choice, turns: int, n: int, free: Int, every: bool) -> Float:
    """(turns, n) as at the top of this file; with ``every`` the choice holds all candidates, best first."""
    turns = min(turns, len(choice))
    scores = np.minimum.accumulate(choice.scores) if every else choice.scores
    level = np.full(n, np.nan)
    level[free] = -np.inf
    if every:
        level[choice.rows] = scores
    utilities = np.tile(level, (turns, 1))
    for turn, row in enumerate(choice.rows[:turns]):
        utilities[turn, choice.rows[:turn]] = np.nan
        utilities[turn, row] = scores[turn]
    return utilities
