"""A tape of float steps, made shorter where two are one, and run again to see how far its values reach."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from morphogen.codec.trace import Node, Tape
from morphogen.errors import UserError

__all__ = ["activated", "melted", "reached"]

AT_ONCE = 32  # examples
WEIGHTED = ("dense", "conv", "deconv")
_ACTIVATIONS: dict[str, Callable[..., Tensor]] = {
    "relu": F.relu, "leaky": F.leaky_relu, "silu": F.silu, "gelu": F.gelu, "elu": F.elu, "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
}  # fmt: skip


def activated(node: Node, x: Tensor) -> Tensor:
    """What an activation says."""
    return _ACTIVATIONS[node.do](x, *node.factors)


def melted(tape: Tape) -> Tape:
    """Batch norms, rectifiers and sums melted into the weighted step before them, where that step has no other use."""
    uses = Counter([j for node in tape.nodes for j in node.of] + tape.gives)
    new, place = Tape(tape.inputs), {i: i for i in range(tape.inputs)}
    for i, node in enumerate(tape.nodes):
        node = replace(node, of=tuple(place[j] for j in node.of))
        melted = None
        for j, before in zip(tape.nodes[i].of, node.of, strict=True):
            last = before == tape.inputs + len(new.nodes) - 1 and uses[j] == 1 and before >= tape.inputs
            melted = melted or (_both(new.nodes[-1], node, before) if last else None)
        if melted is None:
            new.nodes.append(node)
        else:
            new.nodes[-1] = melted
        place[tape.inputs + i] = tape.inputs + len(new.nodes) - 1
    new.gives = [place[j] for j in tape.gives]
    return new


def _both(first: Node, then: Node, place: int) -> Node | None:
    """Two steps as one, where that can be."""
    if first.do == then.do == "scale":
        (a, b), (c, d) = first.factors, then.factors
        return replace(first, factors=(a * c, b * c + d))
    if first.do not in (*WEIGHTED, "affine") or "relu" in first.tensors:
        return None
    if then.do == "affine" and "plus" not in first.numbers:
        factor, offset = then.tensors["weight"], then.tensors["bias"]
        out = 1 if first.do == "deconv" else 0
        column = [-1 if axis == out else 1 for axis in range(first.tensors["weight"].dim())]
        weight = first.tensors["weight"] * factor.reshape(column)
        return replace(first, tensors={"weight": weight, "bias": first.tensors["bias"] * factor + offset})
    if then.do == "relu":
        return replace(first, tensors=dict(first.tensors) | {"relu": torch.zeros(0)})
    if then.do == "sum" and first.do in ("dense", "conv") and "plus" not in first.numbers and len(set(then.of)) == 2:
        other = next(j for j in then.of if j != place)
        return replace(first, of=(*first.of, other), numbers=dict(first.numbers) | {"plus": ()})
    return None


# In floats, to see how far values reach -------------------------------------------------------------------------------


def _floated(node: Node, *x: Tensor) -> Tensor:
    """What a step says of floats."""
    n, t = node.numbers, node.tensors
    if node.do in (*WEIGHTED, "affine"):
        weight, bias = t["weight"].to(x[0].dtype), t["bias"].to(x[0].dtype)
        if node.do == "dense":
            said = F.linear(x[0], weight, bias)
        elif node.do == "conv":
            said = F.conv2d(x[0], weight, bias, n["stride"], n["padding"])
        elif node.do == "deconv":
            said = F.conv_transpose2d(x[0], weight, bias, n["stride"], n["padding"], n["more"])
        else:
            column = (-1, *[1] * (x[0].dim() - 2))
            said = x[0] * weight.view(column) + bias.view(column)
        said = said + x[1] if len(x) > 1 else said
        return F.relu(said) if "relu" in t else said
    if node.do == "scale":
        return x[0] * node.factors[0] + node.factors[1]
    moves: dict[str, Callable[[], Tensor]] = {
        "sum": lambda: x[0] + x[1],
        "cat": lambda: torch.cat(x, 1),
        "part": lambda: x[0].narrow(n["axis"][0], n["from"][0], n["to"][0] - n["from"][0]),
        "pad": lambda: F.pad(x[0], n["sides"]),
        "shuffle": lambda: F.pixel_shuffle(x[0], n["factor"][0]),
        "unshuffle": lambda: F.pixel_unshuffle(x[0], n["factor"][0]),
        "shape": lambda: x[0].reshape(len(x[0]), *n["sides"]),
        "turn": lambda: x[0].permute(0, *n["order"]),
    }
    return moves[node.do]() if node.do in moves else activated(node, x[0])


def reached(name: str, tape: Tape, examples: Sequence[Tensor], said: Sequence[Tensor]) -> list[float]:
    """The largest magnitude of every value; what the steps say must be what the function `name` said."""
    reach = [0.0] * (tape.inputs + len(tape.nodes))
    for start in range(0, len(examples[0]), AT_ONCE):
        values = [x[start : start + AT_ONCE].detach().cpu().float() for x in examples]
        for node in tape.nodes:
            values.append(_floated(node, *(values[j] for j in node.of)))
        reach = [max(r, float(v.abs().max())) for r, v in zip(reach, values, strict=True)]
        for want, j in zip(said, tape.gives, strict=True):
            want = want[start : start + AT_ONCE].detach().cpu().float()
            if values[j].shape != want.shape or not torch.allclose(values[j], want, 1e-2, 1e-2 * (1 + reach[j])):
                raise UserError(f"{name} cannot be frozen: its steps, run again, say something else than it does")
    return reach
