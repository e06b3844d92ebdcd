"""What the estimators share: their parameters, and the way from an array to a trained model and back.

The model, its terms and the loop are those of every run; here is only what scikit-learn asks for beside them. Rows are
standardised by what was fitted and go through the networks in double precision, so that a row is answered alike
whatever stands beside it: to a dozen digits, and verdicts and classes to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from numbers import Integral, Real
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state, check_scalar
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from morphogen import machine
from morphogen.abilities import demand
from morphogen.core import noise
from morphogen.core.build import describe, part_name
from morphogen.core.model import Scores
from morphogen.core.noise import Alike
from morphogen.core.precision import in_double, like_weights
from morphogen.core.space import Image, Space, Vector
from morphogen.core.table import Table
from morphogen.data.dataset import Dataset, Split
from morphogen.data.frames import frame_of
from morphogen.data.rows import cells
from morphogen.data.stores import MemoryStore
from morphogen.errors import UserError
from morphogen.run import fill
from morphogen.sklearn.density import log_density
from morphogen.sklearn.mixed import columns_of_frame, is_mixed, known_frame, of_tables
from morphogen.unkept import Unkept, learn, unkept

__all__ = ["Array", "LatentEstimator", "Refused", "refusing"]

Array = NDArray[Any]
ROWS = 500  # rows that go through a model at once
LARGEST_SEED = 2**31 - 1


class Refused(UserError, ValueError):
    """A mistake in what was asked, as scikit-learn's users catch it."""


@contextmanager
def refusing() -> Iterator[None]:
    """Our refusals as ValueErrors, word for word."""
    try:
        yield
    except UserError as error:
        raise Refused(str(error)) from None


class LatentEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A latent-variable model of the rows of an array."""

    _ability = "Autoencodes"
    _table: Table | None = None  # what X is, where it is a data frame of mixed types
    _usual: ClassVar[Mapping[str, Any]] = {}  # parts of the model, where no more is said of it than "vae"

    def __init__(
        self,
        n_components: int = 2,
        *,
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
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.model = model
        self.max_iter = max_iter
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.image_shape = image_shape
        self.levels = levels
        self.n_draws = n_draws
        self.device = device
        self.random_state = random_state
        self.verbose = verbose

    # Fitting ----------------------------------------------------------------------------------------------------

    def _check_parameters(self) -> None:
        for name in ("n_components", "max_iter", "batch_size", "n_draws"):
            check_scalar(getattr(self, name), name, Integral, min_val=1)
        check_scalar(self.learning_rate, "learning_rate", Real, min_val=0, include_boundaries="neither")
        for width in self._widths():
            check_scalar(width, "hidden_layer_sizes", Integral, min_val=1)

    def _widths(self) -> list[int]:
        """Widths of the encoder's layers; a single number is one layer, as in MLPClassifier."""
        said: Any = self.hidden_layer_sizes
        return [int(said)] if isinstance(said, Integral) else list(said)

    def _rows_to_fit(self, X: Any, least: int = 2) -> Array:
        """Rows to learn from: an array, or a data frame of mixed types as its Table stores them."""
        self._table = None
        if not is_mixed(X):
            rows: Array = validate_data(self, X, dtype=[np.float64, np.float32], ensure_min_samples=least)
            return rows
        validate_data(self, X, skip_check_array=True)
        with refusing():
            columns, stored = columns_of_frame(X)
        if len(stored) < least:
            raise Refused(f"X has {len(stored)} rows, and a minimum of {least} is required")
        self._table = columns.space
        return stored.numpy()

    def _draw_seed(self) -> int:
        return int(check_random_state(self.random_state).randint(LARGEST_SEED))

    def _learn(self, X: Array, y: Tensor | None = None, classes: tuple[str, ...] = (), *, seed: int) -> None:
        """Standardise, train, and keep what was learned."""
        self._check_parameters()
        self._space = self._space_of(X)
        self.mean_, self.scale_ = self._moments(X)
        self._train(Dataset("X", self._space, {"train": Split(self._stored(X), y)}, "at hand", classes=classes), seed)

    def _train(self, data: Dataset, seed: int) -> None:
        """Train a model of the data by the plan of the parameters, and keep it."""
        self._seed = seed
        with refusing():
            run = unkept(self._spec(), data, self._plan(), self._seed)
            demand(run.build(), self._ability, type(self).__name__, "that name")
            self.model_ = learn(run, data, machine.choose_device(self.device), self._show)
        self._recipe, self._facts = run.recipe, run.facts
        self.n_iter_ = int(self.max_iter)
        self.loss_curve_ = [r["loss/model"] for r in run.log() if "loss/model" in r]

    def _plan(self) -> dict[str, Any]:
        return {
            "steps": int(self.max_iter),
            "batch": int(self.batch_size),
            "lr": float(self.learning_rate),
        }

    def _spec(self) -> dict[str, Any]:
        """The recipe of the model: what was said of it, and what n_components and hidden_layer_sizes say."""
        parts = of_tables() if isinstance(getattr(self, "_space", None), Table) else self._usual
        usual = dict(parts) if self.model == "vae" and self.levels is None else {}
        spec = {"use": self.model, **usual} if isinstance(self.model, str) else dict(self.model)
        takes = {a.name for a in describe("models", part_name("models", str(spec.get("use"))))[1]}
        if "latent" in spec:
            raise UserError(f"model says latent = {spec['latent']!r}; leave it out and say n_components")
        if "latent" in takes:
            spec["latent"] = int(self.n_components)
        if "net" in takes and "net" not in spec:
            spec["net"] = {"use": "mlp", "widths": self._widths(), **({"act": "silu"} if usual else {})}
        return spec

    def _show(self, record: dict[str, Any]) -> None:
        if self.verbose:
            print(f"[{type(self).__name__}] step {record['step']}: loss {record.get('loss/model', math.nan):.4f}")

    def _space_of(self, X: Array) -> Space:
        """What one row is."""
        if self._table is not None:
            return self._table
        levels = 0 if self.levels is None else check_scalar(self.levels, "levels", Integral, min_val=2, max_val=65_536)
        if self.image_shape is None:
            if levels > 2:
                raise Refused(f"levels = {levels} is for pictures; say image_shape, or leave levels out")
            return Vector(X.shape[1], levels=levels)
        sides = [check_scalar(side, "image_shape", Integral, min_val=1) for side in self.image_shape]
        if len(sides) not in (2, 3):
            raise Refused(f"image_shape = {self.image_shape!r}: say (height, width) or (height, width, channels)")
        if math.prod(sides) != X.shape[1]:
            raise Refused(f"image_shape = {tuple(sides)} is {math.prod(sides)} numbers, and X has rows of {X.shape[1]}")
        return Image(sides[0], sides[1], sides[2] if sides[2:] else 1, levels)

    def _moments(self, X: Array) -> tuple[Array, Array]:
        """What is taken off each column (of pictures: all alike), and the one scale of all."""
        if self._space.levels or isinstance(self._space, Table):
            one = np.ones(X.shape[1])
            return 0 * one, one * max(self._space.levels - 1, 1)
        per = None if isinstance(self._space, Image) else 0
        mean = np.broadcast_to(X.mean(per, dtype=np.float64), X.shape[1]).copy()
        with np.errstate(over="ignore"):
            scale = float(np.sqrt(X.var(per, dtype=np.float64).mean()))
        if not np.isfinite(scale):
            raise Refused("X holds numbers so large that their variance overflows; divide them first")
        scale = scale if scale > 1e-12 * max(float(np.abs(mean).max()), 1.0) else 1.0
        return mean, np.full(X.shape[1], scale)

    # Pickling: weights as arrays, and the recipe that they are built into again -----------------------------------

    def __getstate__(self) -> dict[str, Any]:
        state = dict(super().__getstate__())
        if "model_" in state:
            state["_weights"] = {name: t.cpu().numpy() for name, t in state.pop("model_").state_dict().items()}
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        state = dict(state)
        weights = state.pop("_weights", None)
        super().__setstate__(state)
        if weights is None:
            return
        model = Unkept(self._recipe, self._facts).build()
        fill(model, {name: torch.tensor(np.array(values)) for name, values in weights.items()}, Path("the estimator"))
        try:
            device = machine.choose_device(self.device)
        except UserError:  # it was fitted on another machine
            device = machine.choose_device("auto")
        self.model_ = model.to(device).eval().requires_grad_(False)

    # Rows to what a model sees, and back ------------------------------------------------------------------------

    def _check(self, X: Any) -> Array:
        """Rows of an array that fit what was fitted."""
        check_is_fitted(self)
        if isinstance(self._space, Table):
            with refusing():
                return known_frame(X, self._space)
        checked: Array = validate_data(self, X, dtype=[np.float64, np.float32], reset=False)
        return checked

    def _seen(self, X: Array) -> Tensor:
        """Rows as the model sees them, in double precision whatever they came in."""
        if isinstance(self._space, Table):
            return self._space.read(torch.from_numpy(X)).double()
        levels = self._space.levels
        if levels and not (np.all(np.rint(X) == X) and X.min() >= 0 and X.max() < levels):
            raise Refused(f"levels = {levels}, but X holds other values than the whole numbers 0 .. {levels - 1}")
        x = torch.from_numpy((X.astype(np.float64) - self.mean_) / self.scale_)
        if isinstance(self._space, Image):
            height, width, channels = *self._space.sites, self._space.depth
            x = x.reshape(-1, height, width, channels).movedim(-1, 1)
        return x

    def _stored(self, X: Array) -> MemoryStore:
        """Rows as `space.read` takes them to give what the model sees."""
        if isinstance(self._space, Table):
            return MemoryStore(torch.from_numpy(X))
        x = self._seen(X)
        if not isinstance(self._space, Image):
            return MemoryStore(x.float())
        return MemoryStore(self._space.write(x) if self._space.levels else x.movedim(1, -1).float())

    def _unseen(self, x: Tensor, dtype: Any) -> Any:
        """What a model says, as rows in the units of X; of a table, as a data frame."""
        if isinstance(self._space, Table):
            return frame_of(cells(self._space.write(x.cpu()), self._space))
        flat = (x.movedim(1, -1) if isinstance(self._space, Image) else x).reshape(len(x), -1).cpu().numpy()
        rows: Array = flat.astype(dtype) * self.scale_.astype(dtype) + self.mean_.astype(dtype)
        return rows

    def _each(self, x: Tensor, say: Callable[[Any, Tensor], Tensor], rows: int = ROWS) -> Tensor:
        """What the model says of rows, some at a time, in double precision."""
        device = next(self.model_.parameters()).device
        model, said = in_double(self.model_), []
        x = like_weights(model, x)
        for part in torch.split(x, rows):
            with refusing(), torch.no_grad(), noise.source(Alike(self._seed, "rows")):
                said.append(say(model, part.to(device)).cpu())
        return torch.cat(said)

    def _log_density(self, X: Any) -> Array:
        """log p(x) of each row, in the units of X."""
        X = self._check(X)
        said = self._each(self._seen(X), self._scored)
        volume = 0.0 if self._space.levels else float(np.log(self.scale_).sum())
        density: Array = said.double().numpy() - volume
        return density

    def _scored(self, model: Any, x: Tensor) -> Tensor:
        if not isinstance(model, Scores) or not model.infer(x[:1]).has_rate:
            raise UserError(
                f"{type(model).__name__} cannot say how likely rows are: its code is a point, or its samples have no "
                "density; use model='vae' with a rate among its terms"
            )
        return log_density(model, x, int(self.n_draws))
