"""Answer: examples as they were before something happened to them, and how far that can be known."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from morphogen.tasks.task import Count, Seed, task

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from morphogen.core.model import Model
    from morphogen.damaging import Damaged
    from morphogen.opened import OpenRun
    from morphogen.restoration import Approach
    from morphogen.restored import Gathering
    from morphogen.values import Values

    Given = Any

__all__ = ["restore"]

BATCH = 100  # examples that are restored at once
MOST = 1000  # draws of each
TILE_STEPS = 60  # of the descent for a tile: each place lies under four of them


@task
def restore(
    model: Model,
    data: Given,
    n: Count | None = None,
    *,
    run: OpenRun,
    damage: str | None = None,
    harm: bool = False,
    samples: Count = 39,
    by: Literal[descent, gibbs, weights] | None = None,  # type: ignore[name-defined]  # noqa: F821
    tiles: bool = False,
    split: str | None = None,
    label: str | None = None,
    seed: Seed = 0,
) -> Values:
    """Undo damage: inpainting, denoising, deblurring, super-resolution, colour, with draws and a 90 % interval.

    data: damaged files, or with --harm clean ones
    n: only the first N examples
    damage: what happened, e.g. noise=0.2, mask=half, mask=hole.png, "shrink=4 + noise=0.05"; for tables: empty cells
    harm: corrupt clean examples first, then report the restoration error
    samples: draws for each example; a 90 % interval takes at least 19
    by: how codes are found: by descent, by gibbs (in turn with the pixels), or by weights (default for tables)
    tiles: restore pictures larger than the model's, all of one size, by overlapping tiles
    split: the part of a named data set: train, valid or test
    label: class of the given files, for a label-conditional model
    seed: random seed

    morphogen restore runs/restorer-mnist old.png --damage mask=hole.png -o whole.png
    morphogen restore last --harm --damage noise=0.2 -n 8 -o denoised.png
    """
    from morphogen.damaging import damaged_examples
    from morphogen.errors import UserError
    from morphogen.restored import table_of

    if not 2 <= samples <= MOST:
        raise UserError(
            f"samples = {samples}: give 2 at least, for a deviation (19 for an interval), and at most {MOST:,}"
        )
    known = damaged_examples(run.run, data, damage, n=n, harm=harm, split=split, label=_number(label), tiles=tiles)
    by = by or ("weights" if run.space.gaps else "descent")
    said = _each(model, known, samples, by, seed, tiles).whole()
    said.names, said.table = known.names or None, table_of(data, run.space)
    said.remark = _remark(model, known, said.scores, samples)
    return said


def _number(label: object) -> int | None:
    return int(label) if isinstance(label, int) else None


def _each(model: Model, known: Damaged, samples: int, by: str, seed: int, tiles: bool) -> Gathering:
    from functools import partial

    from morphogen.core import noise
    from morphogen.core.noise import Noise
    from morphogen.progress import counted
    from morphogen.restoration import gibbs, refined, restore_batch, weighed
    from morphogen.restored import Gathering
    from morphogen.tiling import restore_tiles
    from morphogen.work import device_of

    descent = partial(refined, steps=TILE_STEPS) if tiles else refined
    ways: dict[str, Callable[[], Approach]] = {"gibbs": gibbs, "weights": weighed, "descent": descent}
    device, approach = device_of(model), ways[by]()
    found = Gathering(known, samples)
    damage = known.damage.to(device)

    def undo(y: Any, damage: Any, labels: Any = None) -> Any:
        return restore_batch(model, y, damage.to(device), labels=labels, samples=samples, approach=approach)

    for place, batch in enumerate(counted(known.batches(1 if tiles else BATCH, device), len(known.y), "restore")):
        with noise.source(Noise(seed, "restore", place, 0, 0 if tiles else BATCH)):
            if tiles:
                found.add(restore_tiles(batch.x, damage, model.space, undo))  # type: ignore[arg-type]
            else:
                found.add(undo(batch.x, damage, batch.y))
    return found


def _remark(model: Model, known: Damaged, scores: dict[str, Any], samples: int) -> str:
    from morphogen.damaging import nothing_seen
    from morphogen.restoration import SMALLEST

    words = []
    if nothing_seen(known.y):
        words.append("nothing is seen of any example: these are new ones, drawn from the model")
    strange = _strange(model, known.damage)
    if strange:
        words.append(
            f"trap: this model was never shown {strange}, and may do badly; train it with that in model.damages"
        )
    if known.damage.unknown:
        words.append(f"strength learned from the examples: {known.damage.learned(known.y).told()}")
    if "psnr" in scores:
        similar = f", SSIM {scores['ssim']:.3f}" if "ssim" in scores else ""
        words.append(f"PSNR {scores['psnr']:.2f} dB{similar}")
    elif "root_mean_square" in scores:
        words.append(f"root mean square error {scores['root_mean_square']:.4g}")
    if scores and samples >= SMALLEST:
        words.append(
            f"the 90 % interval holds {scores['coverage_where_wide']:.1%} where it has a width "
            f"({scores['wide']:.0%} of elements), ranks are inside for {scores['coverage']:.1%} of all"
        )
    return "; ".join(words)


def _strange(model: Model, damage: Any) -> str:
    """Kinds of damage that a trained restorer has not met."""
    from morphogen.core.model import Restores

    if not isinstance(model, Restores):
        return ""
    met = {type(link).__name__ for chained in getattr(model, "damages", ()) for link in chained.links}
    return ", ".join(sorted({type(link).__name__ for link in damage.links} - met))
