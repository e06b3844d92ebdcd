"""A trained run as a fitted estimator: what `morphogen train` made goes on in a pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Self

import numpy as np

from morphogen.abilities import demand
from morphogen.core.space import Image, Space, Vector
from morphogen.core.table import Table
from morphogen.opened import OpenRun
from morphogen.sklearn.base import LatentEstimator, Refused, refusing

__all__ = ["OfRun"]


class OfRun(LatentEstimator):
    """An estimator that can take its model from a run."""

    @classmethod
    def of_run(cls, run: str | Path | OpenRun) -> Self:
        """The model of a run, fitted. A row of X is an example as it is stored: columns in their own units, or the
        whole numbers of a picture laid flat, (height, width, channels). Of a run of a table, X is a data frame.

        A clone of it is not fitted, as ever: `sklearn.frozen.FrozenEstimator` keeps a search from fitting it anew.
        """
        with refusing():
            opened = run if isinstance(run, OpenRun) else OpenRun(run)
            model, space = opened.model, opened.space
            demand(model, cls._ability, cls.__name__, str(opened.path))
        recipe, facts = opened.run.recipe, opened.run.facts
        spec = dict(recipe["model"])
        said: dict[str, Any] = {"n_components": spec.pop("latent")} if "latent" in spec else {}
        made = cls(model=spec, device=str(recipe["device"]), random_state=int(recipe["seed"]), **said, **_shape(space))
        made.n_features_in_, made.n_iter_ = space.size, 0
        if isinstance(space, Table):
            made.n_features_in_, made.feature_names_in_ = len(space.columns), np.array(space.names, dtype=object)
        made._space, made._seed, made.model_ = space, int(recipe["seed"]), model
        made._recipe, made._facts = recipe, facts
        made.mean_, made.scale_ = _units(space)
        made._dtype = np.dtype(np.float64)
        if cls._ability == "Classifies":
            made.classes_ = np.array(facts["classes"])
        return made


def _shape(space: Space) -> dict[str, Any]:
    """What an estimator says of rows of this space."""
    if isinstance(space, Image):
        return {"image_shape": (*space.sites, space.depth), "levels": space.levels or None}
    if isinstance(space, Vector):
        return {"levels": space.levels or None}
    if isinstance(space, Table):
        return {}
    raise Refused(
        f"estimators take rows of tables or numbers, and flat pictures; this run's examples are of kind {space.kind}"
    )


def _units(space: Space) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """What is taken off each number of a row, and what it is divided by: the same as `space.read` does."""
    one = np.ones(space.size)
    if isinstance(space, Vector) and space.centre:
        return np.array(space.centre), np.array(space.scale)
    return 0 * one, one * max(space.levels - 1, 1)
