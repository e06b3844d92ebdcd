"""Make: new examples, and old ones seen through the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from morphogen.tasks.task import Amount, Count, Seed, task

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from morphogen.abilities import Autoencodes
    from morphogen.core.batch import Batch
    from morphogen.core.model import Samples
    from morphogen.examples import Data
    from morphogen.values import Values

__all__ = ["interpolate", "reconstruct", "sample"]


@task
def sample(
    model: Samples, n: Count = 64, *, seed: Seed = 0, temperature: Amount = 1.0, label: str | None = None
) -> Values:
    """New examples, drawn from the prior.

    n: how many
    seed: the same seed draws the same examples, and more of them are the same and more
    temperature: below 1 stays closer to the middle of what the model learned
    label: of which class, for a model that is told labels
    """
    from morphogen.core import noise
    from morphogen.core.noise import Noise
    from morphogen.examples import ROWS
    from morphogen.values import Values, gathered
    from morphogen.work import device_of, labels_of

    y = labels_of(model, label, n, device_of(model))

    def pieces() -> Iterator[Tensor]:
        for place, start in enumerate(range(0, n, ROWS)):
            count = min(ROWS, n - start)
            with noise.source(Noise(seed, "sample", place, 0, ROWS)):  # drawn by place: n changes nothing
                some = model.sample(count, None if y is None else y[start : start + count], temperature)
            yield some

    return Values(gathered(pieces(), n), model.space)


@task
def reconstruct(model: Autoencodes, data: Data, n: Count = 32) -> Values:
    """Examples as the model sees them: each above its reconstruction.

    data: a set by name, or files; without it, the run's own test examples
    n: how many
    """
    import torch

    from morphogen.values import Values, joined
    from morphogen.work import device_of

    x, back = [], []
    for batch in data.limited(n).batches(device=device_of(model)):
        x.append(batch.x.cpu())
        back.append(model.decode(model.encode(batch.x, batch.y), batch.y).cpu())
    originals, images = joined(x), joined(back)
    columns = min(len(originals), max(8, round((2 * len(originals)) ** 0.5)))
    starts = range(0, len(originals), columns)
    rows = [part[start : start + columns] for start in starts for part in (originals, images)]
    return Values(torch.cat(rows), model.space, columns)


@task
def interpolate(
    model: Autoencodes,
    data: Data,
    n: Count = 8,
    *,
    steps: Count = 10,
    spherical: bool = False,
) -> Values:
    """Walks from example to example through the codes: a row for each pair; as a gif, one walk through all.

    data: a set by name, or at least two files; without it, the run's own test examples
    n: between how many examples
    steps: how many stops a walk has, both ends included
    spherical: along the arc of a sphere rather than a straight line
    """
    import torch

    from morphogen.errors import UserError
    from morphogen.examples import ROWS
    from morphogen.values import Values, joined
    from morphogen.work import device_of

    batch: Batch = data.first(n, device_of(model))
    if len(batch) < 2:
        raise UserError("a walk needs two examples at least; give n of 2 or more, or two files")
    z = model.encode(batch.x, batch.y).float()
    start = torch.arange(len(z) if len(z) > 2 else 1)  # more than two: the last walk leads back to the first example
    end = (start + 1) % len(z)
    t = torch.linspace(0, 1, steps, device=z.device).reshape(1, -1, *[1] * (z.dim() - 1))
    between = (_arc if spherical else torch.lerp)(z[start, None], z[end, None], t)
    codes = between.flatten(0, 1)
    y = None if batch.y is None else batch.y[start].repeat_interleave(steps)
    starts = range(0, len(codes), ROWS)
    pieces = [model.decode(codes[i : i + ROWS], None if y is None else y[i : i + ROWS]).cpu() for i in starts]
    return Values(joined(pieces), model.space, steps)


def _arc(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """White 2016, "Sampling generative networks": the length of a code stays between those of its ends."""
    import torch

    flat_a, flat_b = a.flatten(2), b.flatten(2)
    cosine = torch.cosine_similarity(flat_a, flat_b, dim=-1).clamp(-1, 1)
    angle = torch.arccos(cosine).reshape(*a.shape[:2], *[1] * (a.dim() - 2))
    sine = torch.sin(angle)
    arc = (torch.sin((1 - t) * angle) * a + torch.sin(t * angle) * b) / sine.clamp_min(1e-4)
    return torch.where(sine < 1e-3, torch.lerp(a.expand_as(arc), b.expand_as(arc), t.expand_as(arc)), arc)
