"""Explore: what the code says, dimension by dimension."""

from __future__ import annotations

from typing import TYPE_CHECKING

from morphogen.tasks.task import Amount, Count, task

if TYPE_CHECKING:
    from torch import Tensor

    from morphogen.abilities import Autoencodes
    from morphogen.examples import Data
    from morphogen.values import Values
    from morphogen.work import Cloud

__all__ = ["manifold", "traverse"]

LOOK_AT = 10_000  # examples that say how the codes lie


@task
def traverse(
    model: Autoencodes,
    data: Data,
    n: Count = 10,
    *,
    steps: Count = 11,
    width: Amount = 3.0,
    label: str | None = None,
) -> Values:
    """Latent traversal: change one dimension of the code at a time, a row each, most active first. A GAN uses its own
    principal directions.

    data: examples from which the spread of the codes is estimated; default: the run's own test examples
    n: maximum number of dimensions
    steps: number of columns
    width: range in standard deviations of the codes, from minus to plus
    label: class of the results, for a label-conditional model

    morphogen traverse last -o traversal.png
    morphogen traverse runs/beta-vae-sprites -n 5 --steps 9 -o traversal.png
    """
    import torch

    from morphogen.core.model import Steers
    from morphogen.examples import ROWS
    from morphogen.values import Values
    from morphogen.work import decode_all

    if isinstance(model, Steers):
        middle, ways = (codes.cpu() for codes in model.directions())
        ways, told = ways[:n], middle.dim() > 1
        middle = middle[:n, None] if told else middle
        remark = f"the {len(ways)} {'directions that were given a meaning' if told else 'strongest directions'} of the "
        remark += "generator's code, from the top"
    else:
        middle, ways, remark = _active_ways(model, data, n)
    stops = torch.linspace(-width, width, steps) if steps > 1 else torch.zeros(1)
    codes = middle + stops[None, :, None] * ways[:, None, :]
    values = Values(decode_all(model, codes.flatten(0, 1), label, ROWS), model.space, steps)
    values.remark = remark
    return values


def _active_ways(model: Autoencodes, data: Data, n: int) -> tuple[Tensor, Tensor, str]:
    """The middle of the codes of data, a step of one standard deviation along each active dimension, and which."""
    import torch

    from morphogen.errors import UserError
    from morphogen.work import cloud

    lie = cloud(model, data.limited(LOOK_AT))
    rows = lie.active[:n]
    if not rows:
        raise UserError(
            "no dimension of the code moves with the data, the code is collapsed; train free-bits-vae or cyclical-vae"
        )
    remark = (
        f"{len(lie.active)} of {len(lie.order)} dimensions are active; rows, from the top: {', '.join(map(str, rows))}"
    )
    return lie.mean, torch.diag(lie.scale)[rows], remark


@task
def manifold(
    model: Autoencodes,
    data: Data,
    n: Count = 20,
    *,
    label: str | None = None,
) -> Values:
    """The plane of a 2-D code: a grid of decoded codes and, beside it, a scatter plot of examples by label.

    data: examples for the scatter plot; default: the run's own test examples
    n: number of grid points along each side
    label: class of the grid, for a label-conditional model

    morphogen manifold last -o plane.png
    morphogen manifold runs/vae-digits -n 30 -o plane.png
    """

    from morphogen import figures
    from morphogen.errors import UserError
    from morphogen.examples import ROWS
    from morphogen.values import Values
    from morphogen.work import cloud, decode_all

    lie = cloud(model, data.limited(LOOK_AT))
    if len(lie.order) < 2:
        raise UserError("this code has one dimension, which is no plane; train with model.latent=2, or use traverse")
    plane = sorted(lie.order[:2])
    across, up = (_stops(lie, dimension, n) for dimension in plane)
    codes = lie.mean.repeat(n * n, 1)
    codes[:, plane[0]] = across.repeat(n)
    codes[:, plane[1]] = up.flip(0).repeat_interleave(n)
    x = decode_all(model, codes, label, ROWS)
    names = [f"z{dimension}" for dimension in plane]
    extent = [(float(s[0]), float(s[-1])) for s in (across, up)]
    figure = figures.scatter(lie.codes[:, plane], lie.labels, list(data.data.classes), axes=names, frame=extent)
    values = Values(x, model.space, n, beside={"codes": figure})
    if len(lie.order) > 2:
        values.remark = (
            f"this code has {len(lie.order)} dimensions: the plane is that of the two most active, "
            f"{plane[0]} and {plane[1]}, the others stay at their mean; model.latent=2 trains a code that is a plane"
        )
    return values


def _stops(lie: Cloud, dimension: int, n: int) -> Tensor:
    """n places along a dimension: over the bound, by the normal's quantiles, or over where the codes lie."""
    import torch

    even: Tensor = (torch.arange(n) + 0.5) / n
    if lie.bound is not None:
        return (2 * even - 1) * lie.bound
    if lie.standard and len(lie.order) == 2:
        quantiles: Tensor = torch.special.ndtri(even.double())
        return quantiles.float()
    return lie.mean[dimension] + (2 * even - 1) * 2.5 * lie.scale[dimension]
