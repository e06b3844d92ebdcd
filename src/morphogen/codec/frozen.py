"""From a trained run to a profile: its functions (`rungs.py`), made integers (`freeze.py`), and the tables of all."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen.codec.freeze import freeze
from morphogen.codec.profile import Profile
from morphogen.codec.rungs import told_of
from morphogen.codec.speech import ARGUMENT, LINK, MASS
from morphogen.codec.tables import FINE, curve
from morphogen.core.model import Samples
from morphogen.core.noise import Noise, source
from morphogen.errors import UserError
from morphogen.metrics.likelihood import at_rest

if TYPE_CHECKING:
    from morphogen.opened import OpenRun

__all__ = ["profile_of", "profile_of_model", "standard_tables"]


def profile_of(run: OpenRun, count: int) -> Profile:
    """The profile of a run; ranges and grids are found on `count` of the examples that it learned from or, where those
    are not on this machine, of its own samples."""
    from morphogen.examples import find_examples

    try:
        data = find_examples(run.run, None, split="train", label=None, fit=False)
        x = torch.cat([batch.x for batch in data.limited(count).batches()])
    except UserError:
        space = run.space
        with torch.no_grad(), at_rest(run.model), source(Noise(0, "freeze")):
            x = space.read(space.write(cast("Samples", run.model).sample(count)))
    return profile_of_model(run.model, x)


def profile_of_model(model: torch.nn.Module, x: Tensor) -> Profile:
    """The profile of a model, with ranges and grids found on pictures x."""
    with at_rest(model), source(Noise(0, "freeze")):
        told = told_of(model, x)
        top = max(told.facts["pieces"][0]["speech"].get("levels", 2) - 1, 1)
        given: dict[str, int | Fraction] = {"x": Fraction(1, top)}
        given |= {name: Fraction(1, top) for name in told.examples if name.startswith("piece/")}
        given |= {f"z/{rung['name']}": rung["z_bits"] for rung in told.facts["rungs"]}
        graphs, weights = freeze(told.functions, told.examples, given, frozenset(told.wide))
    arrays: dict[str, NDArray[np.int64]] = dict(weights) | told.arrays | standard_tables()
    if told.top is not None:
        port, state = told.top
        bits = next(p.bits for graph in graphs.values() for p in graph.inputs if p.name == port)
        arrays["top"] = np.rint(state.double().cpu().numpy() * 2.0**bits).astype(np.int64)
    return Profile(told.facts, graphs, arrays)


def standard_tables() -> dict[str, NDArray[np.int64]]:
    """The curves of a profile: the one place where floats become probabilities, long before one is read."""
    made = {
        "logistic": curve(lambda u: 1 / (1 + np.exp(-u)), -17, 17, bits=ARGUMENT, step=5, unit=MASS),
        "normal": curve(
            lambda u: 0.5 * (1 + np.vectorize(math.erf)(u / math.sqrt(2))), -6.5, 6.5, bits=ARGUMENT, step=5, unit=MASS
        ),
        "exp": curve(np.exp, -12, 7.25, bits=FINE, step=10, unit=FINE),
        "tanh": curve(np.tanh, -8, 8, bits=FINE, step=10, unit=LINK),
        "falling": curve(np.exp, -20, 0, bits=FINE, step=10, unit=30),
    }
    return {f"curve/{name}": np.concatenate([np.array([c.low, c.step]), c.values]) for name, c in made.items()}
