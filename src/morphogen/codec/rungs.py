"""What freezing has to know of a model: its networks as named functions, what flows between them, its families.

    look: x -> seen      reach: state -> state      guess: state, seen -> doubt      take: state, z -> state
    say: state -> said   take: state, piece -> state                                 hope: state -> expected doubt

A `ladder` has all of them at every rung; a `vae` is a ladder of one rung, whose code is the state.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen.codec.freeze import Function
from morphogen.codec.hopes import expected, head, noise_of
from morphogen.codec.tables import FINE
from morphogen.core.conditional import Family
from morphogen.core.inference import Inference, Latent
from morphogen.core.space import Image, Space
from morphogen.errors import UserError
from morphogen.families import natural
from morphogen.families.bernoulli import bernoulli
from morphogen.families.logistics import logistics
from morphogen.families.normal import LOG_SCALES, fixed_normal, normal, shared_normal
from morphogen.families.normal_discrete import discrete_normal
from morphogen.models.ladder import ladder
from morphogen.models.rungs import FARTHEST, PATCH, SCALES
from morphogen.models.vae import vae
from morphogen.priors.normal import normal as standard

__all__ = ["Told", "told_of"]

Z_BITS, FINEST = 10, 9
ENTROPY = 2.05  # bits of a normal of deviation 1
SILENT = 0.02  # nats a picture: a channel that says less is left at its mean
NARROW = 0.05  # the share of posteriors that may be narrower than what the grid is made for
COARSE = 1.5  # steps of the grid to a deviation's length: sums over such a grid are integrals to 1e-3 (Poisson)


@dataclass
class Told:
    """Functions of named ports, a float example of each port, and the facts that a profile keeps."""

    functions: list[Function] = field(default_factory=list)
    examples: dict[str, Tensor] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    arrays: dict[str, NDArray[np.int64]] = field(default_factory=dict)
    top: tuple[str, Tensor] | None = None
    wide: set[str] = field(default_factory=set)

    def does(self, name: str, call: Callable[..., Any], inputs: Sequence[str], outputs: Sequence[str]) -> Any:
        """Name a function, and run it on the examples of its inputs."""
        said = call(*(self.examples[port] for port in inputs))
        self.functions.append(Function(name, call, tuple(inputs), tuple(outputs)))
        self.examples |= dict(zip(outputs, said if isinstance(said, (list, tuple)) else [said], strict=True))
        return said


def told_of(model: object, x: Tensor) -> Told:
    """All about a trained model, as it is on pictures x."""
    with torch.no_grad():
        if isinstance(model, ladder):
            told = _ladder(model, x)
        elif isinstance(model, vae):
            told = _vae(model, x)
        else:
            raise UserError(
                f"a {type(model).__name__} has no likelihood to compress with; use a model with hidden variables that "
                "scores: the recipe ladder, or vae"
            )
        told.facts |= {"space": model.space.facts()} | _costs(model.infer(x), told, x)
    return told


def _ladder(model: ladder, x: Tensor) -> Told:
    told = Told(examples={"x": model.padded(x), "state/0": model.begin(len(x))})
    told.top = ("state/0", model.top.detach())
    seen = [f"seen/{k}" for k in range(len(model.up))]
    told.does("look", model.seen, ["x"], seen)
    inference = model.infer(x)
    rungs, pieces, state = [], [], 0

    def goes(name: str, call: Callable[..., Any], *more: str) -> str:
        nonlocal state
        told.does(name, call, [f"state/{state}", *more], [f"state/{state + 1}"])
        state += 1
        return f"state/{state}"

    for i, rung in enumerate(model.rungs):
        if len(cast("torch.nn.Sequential", rung.reach)):
            goes(f"reach/r{i}", rung.reach)
        before = f"state/{state}"
        told.does(f"guess/r{i}", rung.guess, [before, seen[rung.scale]], [f"doubt/r{i}"])
        told.wide.add(f"doubt/r{i}")
        latent = inference.latents[i]
        told.examples[f"z/r{i}"] = latent.z[0]
        goes(f"take/r{i}", rung.take, f"z/r{i}")
        shape: dict[str, Any] = {"name": f"r{i}", "seen": rung.scale, "depth": rung.depth, "step": PATCH << rung.scale}
        rungs.append(shape | _grid(latent, FARTHEST, SCALES))
        centre, noise = latent.q.centre[0], rungs[-1]["noise"]
        told.does(f"hope/r{i}", head(told.examples[before], centre, noise), [before], [f"hope/r{i}"])
        told.wide.add(f"hope/r{i}")
    patches = torch.nn.functional.pixel_unshuffle(told.examples["x"], PATCH)
    for j, piece in enumerate(model.pieces):
        goes(f"reach/p{j}", piece.reach)
        told.does(f"say/p{j}", piece.say, [f"state/{state}"], [f"said/p{j}"])
        told.wide.add(f"said/p{j}")
        if piece.put is not None:
            told.examples[f"piece/p{j}"] = patches[:, piece.which]
            goes(f"take/p{j}", piece.take, f"piece/p{j}")
        pieces.append(
            {"name": f"p{j}", "which": piece.which, "speech": _speech(piece.family, piece.space, told, f"p{j}")}
        )
    told.facts = {"patch": PATCH, "unit": model.unit, "tile": None, "rungs": rungs, "pieces": pieces}
    return told


def _vae(model: vae, x: Tensor) -> Told:
    space = model.space
    if model.labels is not None:
        raise UserError("a label-conditional model cannot compress pictures without labels; set model.labelled=false")
    if not isinstance(space, Image):
        raise UserError(
            f"only pictures can be compressed so far, and this is a model of a {space.kind}; use an image set"
        )
    if type(model.posterior.family) is not normal or not isinstance(model.prior, standard):
        raise UserError("only a vae with posterior = normal and prior = normal can be frozen; use those, or a ladder")
    told = Told(examples={"x": x})
    told.does("look", model.posterior.net, ["x"], ["seen/0"])
    told.wide |= {"seen/0", "said/p0"}
    latent = model.infer(x).latents[0]
    told.examples["z/r0"] = latent.z[0]
    told.does("say/p0", model.likelihood.net, ["z/r0"], ["said/p0"])
    rung: dict[str, Any] = {"name": "r0", "seen": 0, "depth": model.code.length, "step": None} | _grid(
        latent, 9.0, (-6.0, 0.5)
    )
    told.arrays["hope/r0"] = expected(latent.q.centre.reshape(len(x), -1), rung["noise"])
    speech = _speech(model.likelihood.family, space, told, "p0")
    piece = {"name": "p0", "which": list(range(space.channels)), "speech": speech}
    told.facts = {"patch": 1, "unit": 1, "tile": [space.height, space.width], "rungs": [rung], "pieces": [piece]}
    return told


def _grid(latent: Latent, farthest: float, scales: tuple[float, float]) -> dict[str, Any]:
    """Which channels say anything, and how fine a grid their posteriors need."""
    rate = (
        latent.rate_each[0].flatten(2).sum(2)
        if latent.z.dim() > 3
        else latent.rate_each.reshape(-1, latent.z.shape[-1])
    )
    live = torch.nonzero(rate.mean(0) > SILENT).flatten()
    if not len(live):
        live = torch.zeros(1, dtype=torch.int64)
    log_scale: Tensor = latent.q.log_scale.clamp(*scales)  # type: ignore[attr-defined]
    each = log_scale.reshape(-1, *latent.z.shape[2:])[:, live].flatten()
    narrow = float(torch.quantile(each[: 1 << 22].float(), NARROW))
    fineness = min(max(math.ceil(-(narrow + math.log(COARSE)) / math.log(2)), 0), FINEST)
    one = 1 << FINE
    return {
        "live": live.tolist(), "fineness": fineness, "farthest": round(farthest * one),
        "scales": [round(s * one) for s in scales], "z_bits": Z_BITS,
        "noise": noise_of(log_scale.reshape(-1, *latent.z.shape[2:])),
        "entropy": round(1000 * (float(each.mean()) / math.log(2) + ENTROPY + fineness)),
    }  # fmt: skip


def _speech(family: Family, space: Space, told: Told, name: str) -> dict[str, Any]:
    """How a family's words become integers."""
    if not 2 <= space.levels <= 256:
        raise UserError(
            f"only pictures of 2 to 256 levels can be compressed so far, and these have {space.levels or 'none'}"
        )
    if isinstance(family, bernoulli) and space.levels == 2:
        return {"kind": "coins"}
    high = one = 1 << FINE
    if isinstance(family, logistics):
        start, bell, low, scales = family.start.flatten(2).squeeze(2), "logistic", -one, (-7.0, 5.0)
        mixture = family.mixture
    elif isinstance(family, discrete_normal):
        start, bell, low, scales, mixture = torch.zeros(1, 2 * space.depth), "normal", 0, LOG_SCALES, 1
        unit = float(family.unit)  # the axis is told in the units of the decoder's numbers
        start[0] = torch.cat([family.start[0] / unit, family.scales().detach() - math.log(unit)])
        high = round(one / unit)
    elif isinstance(family, (normal, shared_normal, fixed_normal)) and not getattr(family, "squash", False):
        start, bell, low, scales, mixture = torch.zeros(1, 2 * space.depth), "normal", 0, LOG_SCALES, 1
        if not isinstance(family, normal):
            start[:, space.depth :] = family.log_scale.detach()
    else:
        raise UserError(
            f"pictures cannot be compressed with the likelihood {type(family).__name__}; use {natural(space)}, "
            "logistics or normal-shared"
        )
    told.arrays[f"start/{name}"] = np.rint(start.double().numpy() * one).astype(np.int64)
    return {
        "kind": "blend", "bell": bell, "mixture": mixture, "depth": space.depth, "levels": space.levels, "low": low,
        "high": high, "least": round(scales[0] * one), "most": round(scales[1] * one), "start": f"start/{name}",
    }  # fmt: skip


def _costs(inference: Inference, told: Told, x: Tensor) -> dict[str, int]:
    """Thousandths of a bit that a pixel costs, and that its draws take for a while: batches are planned by them."""
    bits = float((inference.distortion + inference.rate).mean()) / math.log(2)
    draws = sum(len(r["live"]) * _sites(r, x) * r.pop("entropy") for r in told.facts["rungs"])
    return {"cost": max(round(1000 * bits / x[0].numel()), 1), "draws": max(round(draws / x[0].numel()), 1)}


def _sites(rung: dict[str, Any], x: Tensor) -> int:
    return 1 if rung["step"] is None else -(-x.shape[2] // rung["step"]) * -(-x.shape[3] // rung["step"])
