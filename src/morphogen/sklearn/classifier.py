"""Classes from few labels, as LabelSpreading and SelfTrainingClassifier take them: -1 is a row without a label.

The model is M2 of "Semi-supervised learning with deep generative models" (Kingma, Mohamed, Rezende and Welling 2014):
rows without a label help by what they say of how rows are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.base import ClassifierMixin
from sklearn.utils import check_scalar
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d, validate_data

from morphogen.core.batch import BLANK
from morphogen.core.model import Classifies
from morphogen.core.precision import on_grid
from morphogen.sklearn.adopting import OfRun
from morphogen.sklearn.base import Array, Refused

__all__ = ["SemiSupervisedVAEClassifier"]


class SemiSupervisedVAEClassifier(ClassifierMixin, OfRun):  # type: ignore[misc]
    """Learns classes from rows of which some, or most, have none: their label is -1. Labels that are words are given
    as an array of dtype object, with -1 among them.

    alpha: how much naming the labelled rows weighs beside the likelihood of all rows, each a mean over its rows. The
        paper has 0.1 and trains far longer than fits in seconds
    model: of the models shelf, one that names classes and learns from rows without one: semi, classifier

    The other parameters are those of VAETransformer.
    """

    _ability = "Classifies"

    def __init__(
        self,
        n_components: int = 10,
        *,
        alpha: float = 10.0,
        hidden_layer_sizes: tuple[int, ...] = (128,),
        model: str | Mapping[str, Any] = "semi",
        max_iter: int = 2000,
        batch_size: int = 128,
        learning_rate: float = 5e-3,
        image_shape: tuple[int, ...] | None = None,
        levels: int | None = None,
        device: str = "auto",
        random_state: Any = None,
        verbose: int = 0,
    ) -> None:
        super().__init__(
            n_components,
            hidden_layer_sizes=hidden_layer_sizes,
            model=model,
            max_iter=max_iter,
            batch_size=batch_size,
            learning_rate=learning_rate,
            image_shape=image_shape,
            levels=levels,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.alpha = alpha

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Accuracy on the rows that have a label; those that are blank (-1) count neither way, so that a search by
        cross-validation over few labels compares what it means to."""
        y = column_or_1d(np.asarray(y, dtype=object), warn=True)
        known = np.array([label != BLANK for label in y])
        if not known.any():
            raise ValueError("no row has a label (all are -1), so there is no accuracy")
        right = np.asarray(self.predict(X), dtype=object)[known] == y[known]
        weight = None if sample_weight is None else np.asarray(sample_weight)[known]
        return float(np.average(right.astype(float), weights=weight))

    def fit(self, X: Any, y: Any) -> SemiSupervisedVAEClassifier:
        """Learn from all rows of X, and from the labels of those that have one."""
        X, y = validate_data(self, X, y, dtype=[np.float64, np.float32], ensure_min_samples=2, y_numeric=False)
        check_scalar(self.alpha, "alpha", Real, min_val=0)
        numbers = self._numbered(column_or_1d(y, warn=True))
        names = tuple(str(word) for word in self.classes_.tolist())
        self._learn(X, torch.from_numpy(numbers), names, seed=self._draw_seed())
        return self

    def _numbered(self, y: Array) -> Array:
        """Places in `classes_`, -1 where there is no label."""
        if y.dtype.kind in "US":
            if (y == "-1").any():
                raise Refused("labels that are words are given as dtype object, with the number -1 where there is none")
            known = np.ones(len(y), dtype=bool)
        else:
            known = y != BLANK
        if not known.any():
            raise Refused("no row has a label: every y is -1; label at least one row of two classes")
        check_classification_targets(y[known])
        self.classes_, places = np.unique(y[known], return_inverse=True)
        if len(self.classes_) < 2:
            raise Refused(
                f"all labels are of one class, {self.classes_[0]!r} (-1 means none); label rows of two classes"
            )
        numbers = np.full(len(y), BLANK, dtype=np.int64)
        numbers[known] = places
        self._blanks = not known.all()
        return numbers

    def _plan(self) -> dict[str, Any]:
        return super()._plan() | ({"labelled": max(int(self.batch_size) // 2, 1)} if self._blanks else {})

    def _spec(self) -> dict[str, Any]:
        """M2 with a classifier of its own net, whose lesson is the labels; what `model` says of either goes first.

        The likelihood comes in over the first half: classes that are not known yet would be used for anything else.
        """
        spec = super()._spec()
        if spec["use"] == "semi":
            taught = {"use": "taught", "weight": float(self.alpha)}
            weight = {"use": "ramp", "steps": max(int(self.max_iter) // 2, 1)}
            namer = {"use": "classifier", "net": spec["net"], "lessons": [taught]}
            spec = {"classifier": namer, "weight": weight} | spec
        return spec

    def predict_log_proba(self, X: Any) -> Array:
        """The logarithm of how likely each class is, in the order of `classes_`."""

        def classify(model: Classifies, x: torch.Tensor) -> torch.Tensor:
            return model.classify(x)

        X = self._check(X)
        said: Array = on_grid(self._each(self._seen(X), classify)).numpy().astype(X.dtype)
        return said

    def predict_proba(self, X: Any) -> Array:
        """How likely each class is, in the order of `classes_`."""
        return np.exp(self.predict_log_proba(X))

    def predict(self, X: Any) -> Array:
        """The likeliest class of each row."""
        places = self.predict_log_proba(X).argmax(1)
        classes: Array = self.classes_[places]
        return classes
