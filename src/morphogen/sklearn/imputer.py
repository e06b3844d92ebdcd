"""Missing cells filled in, as KNNImputer and IterativeImputer do it, in tables of numbers, words and dates."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from narwhals.exceptions import DuplicateError
from sklearn.base import OneToOneFeatureMixin, TransformerMixin
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from morphogen.core.damage import chain
from morphogen.core.worded import read_damage
from morphogen.data.dataset import Dataset, Split
from morphogen.data.stores import MemoryStore
from morphogen.restoration import restore_batch, weighed
from morphogen.sklearn.base import ROWS, LatentEstimator, Refused, refusing
from morphogen.sklearn.mixed import columns_of_array, columns_of_frame, is_frame, of_tables

__all__ = ["VAEImputer"]

AT_ONCE = 2**24  # elements of all codes that are tried at once


class VAEImputer(OneToOneFeatureMixin, TransformerMixin, LatentEstimator):  # type: ignore[misc]
    """Fills the missing cells of a data frame of numbers, words and dates, or of an array of floats with NaN: numbers
    by their mean, words by the likeliest, given all that is known of the row. What is there stays as it is.

    n_components: numbers in a code
    hidden_layer_sizes: widths of the encoder's layers; the decoder mirrors them
    model: "vae" is the model of the recipe `tabular`; or a recipe of one that reads tables
    max_iter: training steps, a batch each
    batch_size, learning_rate: of those steps
    n_draws: codes tried for each row that has gaps
    device: auto, cpu, cuda, mps
    random_state: of the weights, the batches and the noise
    verbose: whether to print the loss now and then
    """

    def __init__(
        self,
        n_components: int = 16,
        *,
        hidden_layer_sizes: tuple[int, ...] = (256, 256),
        model: str | Mapping[str, Any] = "vae",
        max_iter: int = 2000,
        batch_size: int = 128,
        learning_rate: float = 3e-3,
        n_draws: int = 1000,
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
            n_draws=n_draws,
            device=device,
            random_state=random_state,
            verbose=verbose,
        )

    @property
    def _usual(self) -> Mapping[str, Any]:  # type: ignore[override]
        return of_tables()

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: Any = None) -> VAEImputer:
        """Learn how the columns of X hang together, from whatever cells are there."""
        self._check_parameters()
        X = self._taken(X, reset=True)
        with refusing():
            self._columns, stored = columns_of_frame(X) if is_frame(X) else columns_of_array(X)
        data = Dataset("X", self._columns.space, {"train": Split(MemoryStore(stored))}, "at hand")
        self._train(data, self._draw_seed())
        return self

    def transform(self, X: Any) -> Any:
        """X with its missing cells filled: the same columns, index and types."""
        check_is_fitted(self)
        X = self._taken(X, reset=False)
        with refusing():
            stored = self._columns.stored(X)
            todo = stored.isnan().any(1)
            if bool(todo.any()):
                stored[todo] = self._whole(stored[todo])
            filled = self._columns.filled(X, stored)
        for name, why in self._columns.still_empty(filled):
            warnings.warn(f"column {name!r} keeps its missing cells ({why})", stacklevel=2)
        return filled

    def _taken(self, X: Any, reset: bool) -> Any:
        """X, checked against what was fitted."""
        if is_frame(X):
            try:
                return validate_data(self, X, reset=reset, skip_check_array=True)
            except DuplicateError:
                raise Refused("X has two columns of one name; give each a name of its own") from None
        few = 2 if reset else 1
        kinds = [np.float64, np.float32]
        return validate_data(self, X, reset=reset, dtype=kinds, ensure_all_finite="allow-nan", ensure_min_samples=few)

    def _whole(self, stored: Tensor) -> Tensor:
        """Stored rows with every cell there."""
        space, approach = self._columns.space, weighed(tries=int(self.n_draws))
        damage = chain(space, read_damage("mask=given"))

        def restore(model: Any, y: Tensor) -> Tensor:
            return restore_batch(model, y, damage.to(y.device), samples=2, approach=approach).mean

        rows = min(ROWS, max(1, AT_ONCE // (int(self.n_draws) * space.size)))
        said = self._each(damage.read(space.opened(space.read(stored))), restore, rows)
        return torch.where(stored.isnan(), space.write(space.following(said)), stored)
