"""Rows unlike the others, as IsolationForest finds them: the scores of `morphogen detect` behind fit and predict."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from numbers import Real
from typing import Any

import numpy as np
import torch
from sklearn.base import OutlierMixin
from sklearn.utils import check_scalar

from morphogen.core.batch import Batch
from morphogen.detector import Detector
from morphogen.sklearn.base import ROWS, Array, LatentEstimator, refusing
from morphogen.sklearn.density import DENSITY

__all__ = ["VAEOutlierDetector"]

FEWEST = 8
RATE = 0.05  # of normal rows that may be called outliers where no contamination is said
FARTHEST = 1e6  # spreads from the middle: rows beyond are no odder than rows there


class VAEOutlierDetector(OutlierMixin, LatentEstimator):  # type: ignore[misc]
    """Learns what is normal; what is not scores low. 1 is normal, -1 an outlier.

    scores: names of the oddities shelf; None: the usual ones that the model can give
    contamination: the share of the fitted rows that are called outliers; "auto": as far out as 5 % of new normal rows
        are, a promise that held-out rows keep where the fitted rows are all normal
    held_out: the share of rows that the model does not learn from, so that it can be told how odd normal rows look

    The other parameters are those of VAETransformer.
    """

    _ability = "Encodes"
    _usual = DENSITY

    def __init__(
        self,
        n_components: int = 2,
        *,
        scores: Sequence[str] | None = None,
        contamination: float | str = "auto",
        held_out: float = 0.25,
        hidden_layer_sizes: tuple[int, ...] = (128,),
        model: str | Mapping[str, Any] = "vae",
        max_iter: int = 2000,
        batch_size: int = 128,
        learning_rate: float = 5e-3,
        image_shape: tuple[int, ...] | None = None,
        levels: int | None = None,
        n_draws: int = 20,
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
            n_draws=n_draws,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )
        self.scores = scores
        self.contamination = contamination
        self.held_out = held_out

    def fit(self, X: Any, y: Any = None) -> VAEOutlierDetector:
        """Learn what rows of X are like, and how odd those look that were not learned from."""
        X = self._rows_to_fit(X, FEWEST)
        check_scalar(self.held_out, "held_out", Real, min_val=0, max_val=1, include_boundaries="neither")
        if self.contamination != "auto":
            check_scalar(self.contamination, "contamination", Real, min_val=0, max_val=0.5, include_boundaries="right")
        seed = self._draw_seed()
        count = min(max(round(self.held_out * len(X)), 3), len(X) - 3)
        order = np.random.RandomState(seed).permutation(len(X))
        learned, rest = np.sort(order[count:]), np.sort(order[:count])
        self._learn(X[learned], seed=seed)
        scores = None if self.scores is None else list(self.scores)
        with refusing():
            self.detector_ = Detector.fit(self.model_, self._batches(X[learned]), self._batches(X[rest]), scores)
            if self.contamination == "auto":
                self.offset_ = -self.detector_.threshold(max(RATE, self.detector_.least))
        if self.contamination != "auto":
            self.offset_ = float(np.percentile(-self._found(X), 100 * float(self.contamination)))
        return self

    def _batches(self, X: Array) -> Iterator[Batch]:
        """Rows as the detector takes them."""
        x = self._seen(X).clamp(-FARTHEST, FARTHEST)
        device = next(self.model_.parameters()).device
        return (Batch(part.to(device)) for part in torch.split(x, ROWS))

    def _found(self, X: Array, word: str = "oddness") -> Array:
        with refusing():
            said = [getattr(self.detector_.score(batch), word) for batch in self._batches(X)]
        found: Array = torch.cat(said).double().numpy()
        return found

    def score_samples(self, X: Any) -> Array:
        """How normal each row is: the lower, the odder."""
        return -self._found(self._check(X))

    def decision_function(self, X: Any) -> Array:
        """`score_samples` less `offset_`: below 0 are outliers."""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Array:
        """1 of normal rows, -1 of outliers."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: Any) -> Array:
        """Of each row, the share of held-out normal rows (and itself) that are as odd: conformal p-values."""
        return self._found(self._check(X), "p")

    def __getstate__(self) -> dict[str, Any]:
        state = super().__getstate__()
        if "detector_" in state:
            detector = state.pop("detector_")
            state["_detector"] = {name: t.numpy() for name, t in detector.tensors().items()}, detector.facts()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        kept = dict(state)
        detector = kept.pop("_detector", None)
        super().__setstate__(kept)
        if detector is not None:
            tensors = {name: torch.tensor(np.array(values)) for name, values in detector[0].items()}
            self.detector_ = Detector.from_tensors(self.model_, tensors, detector[1])
