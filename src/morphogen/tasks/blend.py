"""Edit: examples made of several others: the style of one with the content of another, or a blend of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from morphogen.tasks.task import Count, Numbers, task

if TYPE_CHECKING:
    from torch import Tensor

    from morphogen.abilities import Autoencodes
    from morphogen.core.batch import Batch
    from morphogen.examples import Data
    from morphogen.opened import OpenRun
    from morphogen.values import Values

__all__ = ["exchange", "mix"]


@task
def exchange(
    model: Autoencodes,
    data: Data,
    n: Count = 6,
    *,
    run: OpenRun,
    classes: str | None = None,
    coarse: Count | None = None,
    seen: Count = 2000,
) -> Values:
    """Style transfer: the style of every example with the content of every other. A row for each style, a column for
    each content, the originals along the top and down the left.

    data: a data set by name (one example of each class), or at least two files; default: the run's own test examples
    n: maximum number of examples
    classes: the class of each given file, "3,5", for a label-conditional model
    coarse: number of latent layers that are content, in a model with several; default: the upper half
    seen: training examples from which the class centres are estimated, in a model that is not label-conditional

    morphogen exchange runs/conditional-vae-digits -o styles.png
    morphogen exchange last three.png five.png --classes 3,5 -o styles.png
    """
    import torch

    from morphogen.core.model import Classifies
    from morphogen.errors import UserError
    from morphogen.exchange import exchange_of
    from morphogen.values import Values
    from morphogen.work import decode_each, device_of

    some = _told(run, _of_each_class(data, n).limited(n), classes)
    if len(some) < 2:
        raise UserError("at least two examples are needed; give -n 2 or more, or two files")
    way = exchange_of(run, model, seen, coarse)
    batch: Batch = some.first(n, device_of(model))
    if isinstance(model, Classifies) and (batch.y is None or bool((batch.y < 0).any())):
        batch.y = model.classify(batch.x).argmax(1)
    z = model.encode(batch.x, batch.y).float()
    count = len(z)
    style, content = torch.arange(count).repeat_interleave(count), torch.arange(count).repeat(count)
    flat, y = z.flatten(1), batch.y
    given = [(flat[rows], None if y is None else y[rows]) for rows in (style, content)]
    codes, told = way.of(given[0], given[1])
    made = decode_each(model, codes, told)
    return Values(
        framed(batch.x.cpu(), made),
        model.space,
        count + 1,
        remark=f"{way.words}; contents along the top, styles down the left",
    )


def framed(x: Tensor, made: Tensor) -> Tensor:
    """A square of results with the examples above it and beside it, and nothing in the corner."""
    import torch

    rows = made.reshape(len(x), len(x), *x.shape[1:]).to(x.dtype)
    body = torch.cat([x[:, None], rows], 1)
    return torch.cat([torch.cat([torch.zeros_like(x[:1]), x])[None], body]).flatten(0, 1)


def _of_each_class(data: Data, n: int) -> Data:
    """The first example of each class of a set, rather than the first few of all."""
    import torch

    from morphogen.sides import only

    y = data.data.splits[data.split].y
    kinds = [] if y is None else sorted(set(y[y >= 0].tolist()))
    if data.split == "given" or len(kinds) < 2:
        return data
    firsts = [int(torch.nonzero(y == kind)[0]) for kind in kinds]
    return only(data, torch.tensor(firsts[:n]))


def _told(run: OpenRun, data: Data, classes: str | None) -> Data:
    """The examples with the classes that were said, one for each."""
    from dataclasses import replace

    import torch

    from morphogen.errors import UserError
    from morphogen.examples import Data as Examples

    if classes is None:
        return data
    y = [run.label(word.strip()) for word in classes.split(",")]
    if len(y) != len(data):
        raise UserError(f"classes names {len(y)} and there are {len(data)} examples; give the class of each, in order")
    part = replace(data.data.splits[data.split], y=torch.tensor(y))
    return Examples(replace(data.data, splits={data.split: part}), data.split)


@task
def mix(
    model: Autoencodes,
    data: Data,
    n: Count = 4,
    *,
    weights: Numbers | None = None,
    steps: Count = 7,
    spherical: bool = False,
) -> Values:
    """Blends of examples through their codes. Four examples: a square of blends. Otherwise: every pair, half and
    half. With --weights: one weighted blend.

    data: a data set by name, or at least two files; default: the run's own test examples
    n: number of examples to blend
    weights: weight of each example, "0.5,0.3,0.2"; they are scaled to sum to one
    steps: number of blends along a side of the square
    spherical: keep the length of the codes (spherical interpolation)

    morphogen mix last -o blends.png
    morphogen mix runs/vae-digits a.png b.png --weights 0.7,0.3 -o blend.png
    """
    from morphogen.blending import blend, corners, one, pairs
    from morphogen.errors import UserError
    from morphogen.tasks.words import numbers
    from morphogen.values import Values
    from morphogen.work import decode_each, device_of

    batch: Batch = data.first(n, device_of(model))
    if len(batch) < 2:
        raise UserError("at least two examples are needed; give -n 2 or more, or two files")
    if weights is not None:
        shares = one(numbers("weights", weights), len(batch))
    else:
        shares = corners(steps) if len(batch) == 4 else pairs(len(batch))
    z = model.encode(batch.x, batch.y).float()
    codes = blend(z.flatten(1), shares.to(z), spherical)
    y = None if batch.y is None else batch.y[shares.argmax(1).to(batch.y.device)]
    made = decode_each(model, codes, y)
    if weights is not None:
        return Values(beside(batch.x.cpu(), made), model.space, len(batch) + 1, remark="the blend is the last")
    return Values(made, model.space, steps if len(batch) == 4 else len(batch))


def beside(x: Tensor, made: Tensor) -> Tensor:
    """Examples and, after them, what was made of all."""
    import torch

    return torch.cat([x, made.to(x.dtype)])
