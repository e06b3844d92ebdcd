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
    from morphogen.opened import OpenRun
    from morphogen.values import Values

__all__ = ["drawn", "interpolate", "reconstruct", "sample"]


@task
def sample(
    model: Samples,
    n: Count = 64,
    *,
    run: OpenRun,
    seed: Seed = 0,
    temperature: Amount = 1.0,
    label: str | None = None,
    fill: bool = False,
) -> Values:
    """New examples, drawn from the prior.

    n: number of examples
    seed: random seed: same seed, same examples; a larger -n adds further ones
    temperature: below 1: closer to the centre of the prior, less varied
    label: class of the examples, for a label-conditional model
    fill: of a table, every cell filled; without it, cells are empty as often as in the training rows

    morphogen sample last -n 16 -o grid.png
    morphogen sample runs/conditional-vae-digits --label 7 --seed 1 -o sevens.png
    """
    from morphogen.target_column import with_target
    from morphogen.work import device_of, labels_of

    y = labels_of(model, label, n, device_of(model))
    return with_target(drawn(model, n, seed, temperature, y, fill), run.run, model, y, seed)  # type: ignore[arg-type]


def drawn(
    model: Samples, n: int, seed: int, temperature: float = 1.0, y: Tensor | None = None, fill: bool = False
) -> Values:
    """Examples from the prior, in batches, each with noise of its place: n changes nothing but how many there are."""
    from morphogen.core import noise
    from morphogen.core.noise import Noise
    from morphogen.core.table import Table
    from morphogen.errors import UserError
    from morphogen.examples import ROWS
    from morphogen.values import Values, gathered

    def pieces() -> Iterator[Tensor]:
        for place, start in enumerate(range(0, n, ROWS)):
            count = min(ROWS, n - start)
            with noise.source(Noise(seed, "sample", place, 0, ROWS)):
                some = model.sample(count, None if y is None else y[start : start + count], temperature)
            yield some

    x = gathered(pieces(), n)
    if fill and not isinstance(model.space, Table):
        raise UserError(f"fill is for the empty cells of tables, and this model makes {model.space.plural}")
    return Values(model.space.full(x) if isinstance(model.space, Table) and fill else x, model.space)


@task
def reconstruct(model: Autoencodes, data: Data, n: Count = 32) -> Values:
    """Examples encoded and decoded again: each original above its reconstruction.

    data: a data set by name, or files; default: the run's own test examples
    n: number of examples

    morphogen reconstruct last -o back.png
    morphogen reconstruct runs/vae-digits ./scans -n 8 -o back.png
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
    """Latent interpolation: walks from example to example, a row for each pair; as a gif, one walk through all.

    data: a data set by name, or at least two files; default: the run's own test examples
    n: number of examples to walk between
    steps: number of stops of a walk, both ends included
    spherical: spherical interpolation instead of straight lines

    morphogen interpolate last -o walk.gif
    morphogen interpolate runs/vae-digits a.png b.png --steps 15 -o walk.png
    """
    import torch

    from morphogen.errors import UserError
    from morphogen.examples import ROWS
    from morphogen.values import Values, joined
    from morphogen.work import device_of

    batch: Batch = data.first(n, device_of(model))
    if len(batch) < 2:
        raise UserError("at least two examples are needed; give -n 2 or more, or two files")
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
