"""Rows to codes and back, as PCA does it: the encoder and decoder of a variational autoencoder."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import torch
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils.validation import check_array, check_is_fitted

from morphogen.core.model import Decodes, Encodes
from morphogen.sklearn.adopting import OfRun
from morphogen.sklearn.base import Array, Refused

__all__ = ["VAETransformer"]


class VAETransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, OfRun):  # type: ignore[misc]
    """Learned codes of rows: `transform` gives the centre of q(z|x), `inverse_transform` the centre of p(x|z).

    n_components: numbers in a code
    hidden_layer_sizes: widths of the encoder's layers; the decoder mirrors them
    model: any of the models shelf that goes there and back, by name or as a recipe, e.g. {"use": "vae", "net": "conv"}
    max_iter: training steps, a batch each
    batch_size, learning_rate: of those steps
    image_shape: (height, width) or (height, width, channels) where rows are flat pictures; needed for conv nets
    levels: where X holds the whole numbers 0 .. levels-1 of a picture (2: zeros and ones); None: real numbers
    n_draws: codes drawn for each row by score_samples; more of them come closer to log p(x), from below
    device: auto, cpu, cuda, mps
    random_state: of the weights, the batches and the noise
    verbose: whether to print the loss now and then
    """

    @property
    def _n_features_out(self) -> int:
        return cast(Decodes, self.model_).code.size

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def fit(self, X: Any, y: Any = None) -> VAETransformer:
        """Learn codes of the rows of X."""
        self._learn(self._rows_to_fit(X), seed=self._draw_seed())
        return self

    def transform(self, X: Any) -> Array:
        """The code of each row."""

        def encode(model: Encodes, x: torch.Tensor) -> torch.Tensor:
            return model.encode(x).flatten(1)

        X = self._check(X)
        codes: Array = self._each(self._seen(X), encode).numpy().astype(X.dtype)
        return codes

    def inverse_transform(self, X: Any) -> Any:
        """The row that each code stands for."""

        def decode(model: Decodes, z: torch.Tensor) -> torch.Tensor:
            return model.decode(z.reshape(-1, *model.code.shape))

        check_is_fitted(self)
        codes: Array = check_array(X, dtype=[np.float64, np.float32])
        if codes.shape[1] != self._n_features_out:
            raise Refused(
                f"X holds codes of {codes.shape[1]} numbers, and this transformer's have {self._n_features_out}"
            )
        return self._unseen(self._each(torch.tensor(codes), decode), codes.dtype)

    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row, from below, in the units of X."""
        return self._log_density(X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`."""
        return float(self.score_samples(X).mean())
