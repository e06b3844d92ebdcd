"""A density to draw from, as KernelDensity and GaussianMixture are: new rows like those that were fitted."""

from __future__ import annotations

from typing import Any

import torch
from sklearn.base import DensityMixin
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted

from morphogen.core import noise
from morphogen.core.conditional import Conditional
from morphogen.core.noise import Noise
from morphogen.sklearn.adopting import OfRun
from morphogen.sklearn.base import LARGEST_SEED, ROWS, Array
from morphogen.sklearn.density import DENSITY

__all__ = ["Sampler"]


class Sampler(DensityMixin, OfRun):  # type: ignore[misc]
    """A generator of rows: any of the models shelf that draws examples; one with a likelihood scores rows, too.

    Its parameters are those of VAETransformer; `model` may be a GAN. "vae" is one made for densities: the bound of five
    draws, and for a prior a mixture of ten normals with covariances of their own.
    """

    _ability = "Samples"
    _usual = DENSITY

    def fit(self, X: Any, y: Any = None) -> Sampler:
        """Learn what rows of X are like."""
        X = self._rows_to_fit(X)
        self._dtype = X.dtype
        self._learn(X, seed=self._draw_seed())
        return self

    def sample(self, n_samples: int = 1, random_state: Any = None) -> Any:
        """New rows, drawn from p(x): a code from the prior, a row from the likelihood of that code.

        Without a random_state of its own a call draws by the estimator's.
        """
        check_is_fitted(self)
        count = int(check_scalar(n_samples, "n_samples", int, min_val=1))
        said = self.random_state if random_state is None else random_state
        seed = int(check_random_state(said).randint(LARGEST_SEED))
        pieces = []
        with torch.no_grad():
            for place, start in enumerate(range(0, count, ROWS)):
                with noise.source(Noise(seed, "sample", place, 0, ROWS)):
                    pieces.append(_draw(self.model_, min(ROWS, count - start)).cpu())
        return self._unseen(torch.cat(pieces), self._dtype)

    def score_samples(self, X: Any) -> Array:
        """log p(x) of each row, from below, in the units of X."""
        return self._log_density(X)

    def score(self, X: Any, y: Any = None) -> float:
        """The mean of `score_samples`."""
        return float(self.score_samples(X).mean())


def _draw(model: Any, count: int) -> torch.Tensor:
    """Rows with the noise of their likelihood, where the model has one; its samples as they are elsewhere."""
    if not (isinstance(getattr(model, "likelihood", None), Conditional) and hasattr(model, "prior")):
        row: torch.Tensor = model.sample(count)
    else:
        row = model.likelihood(model.prior(model.posterior).sample((count,))).sample()
    return row
