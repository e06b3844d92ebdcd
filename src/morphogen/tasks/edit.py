"""Edit: change one thing of an example, by moving its code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from morphogen.tasks.task import Count, Strengths, task

if TYPE_CHECKING:
    from torch import Tensor

    from morphogen.abilities import Autoencodes
    from morphogen.examples import Data
    from morphogen.opened import OpenRun
    from morphogen.sides import Sides
    from morphogen.values import Values

__all__ = ["combine", "direction", "directions", "edit"]


@task(exact=True)
def direction(
    model: Autoencodes,
    name: str,
    data: Data,
    *,
    run: OpenRun,
    of: str | None = None,
    against: str | None = None,
    lacking: Data | None = None,
    attribute: str | None = None,
    by: Literal["means", "discriminant"] | None = None,
    n: Count = 2000,
    split: str = "train",
) -> dict[str, Any]:
    """Learn a direction of the latent space from examples with and without an attribute. It is kept in the run, in
    place of one of the same name.

    name: name of the direction
    data: labelled examples, or with --lacking those with the attribute; default: the run's own training examples
    of: the class that the direction leads to
    against: the class that it starts from; default: all the others
    lacking: instead of classes: a file, a folder or a data set of examples without the attribute
    attribute: instead of classes: one number per example, FILE.npy, FILE.npz:NAME or FILE.csv:NAME
    by: how; default: discriminant where there are enough examples, means otherwise
    n: maximum number of examples of either kind
    split: the part of a named data set: train, valid or test

    morphogen direction runs/vae-digits eightness --of 8 --against 3
    morphogen direction last smile ./smiling --lacking ./neutral
    """
    import torch

    from morphogen import sides, steering
    from morphogen.directions import learn
    from morphogen.errors import UserError
    from morphogen.work import cloud

    steering.may_be_called(name)
    if (of is not None) + (lacking is not None) + (attribute is not None) != 1:
        raise UserError("a direction of what? give --of CLASS, or --lacking FILES, or --attribute FILE:COLUMN")
    if against is not None and of is None:
        raise UserError("against says where a direction comes from; say with --of where it leads to")
    if lacking is not None:
        groups = sides.apart(data, lacking)
    else:
        groups = sides.by_column(data, attribute) if attribute is not None else sides.by_class(data, str(of), against)
    groups = groups.at_most(n)
    codes = [cloud(model, side).codes for side in (groups.having, groups.lacking)]
    if not all(bool(torch.isfinite(code).all()) for code in codes):
        raise UserError("the codes of these examples are not finite; use an earlier state of the run")
    found = learn(codes[0], codes[1], by)
    if not float(found.step.norm()):
        raise UserError("the codes of the two groups do not differ at all; the code may be collapsed: see `traverse`")
    told = {"words": list(groups.words), "n": [len(side) for side in codes]}
    steering.keep(run.run, name, found, told)
    return _said(name, groups, found.facts() | told)


def _said(name: str, groups: Sides, facts: dict[str, Any]) -> dict[str, Any]:
    """What was learned, in a line each."""
    tested = facts["separates"].get(facts["by"])
    verdict = "not tested: too few examples to hold any out"
    if tested is not None:
        verdict = "tells held-out examples apart"
        if tested["low"] <= 0.5:
            verdict = "separates nothing that can be told: chance does as well, so edits by it mean nothing"
    areas = {f"separates, by {way}": [round(x, 4) for x in said.values()] for way, said in facts["separates"].items()}
    said = {"direction": name, "from": groups.words[1], "to": groups.words[0], "by": facts["by"]}
    how = "area under the curve of held-out examples (0.5: chance), with its 95 % interval (Newcombe 2006)"
    protocol = {"separates": how, "n": facts["n"], "step": "one standard deviation of the codes along it"}
    return said | areas | {"verdict": verdict, "protocol": protocol}


@task
def directions(run: OpenRun) -> list[dict[str, Any]]:
    """The directions that a run has learned, with what each separates.

    morphogen directions last
    morphogen directions runs/vae-digits --json
    """
    from morphogen import steering

    return steering.listed(run.run, run.model)


@task
def edit(
    model: Autoencodes,
    data: Data,
    n: Count = 16,
    *,
    run: OpenRun,
    by: Strengths,
    steps: Count = 1,
) -> Values:
    """Examples moved along learned directions, each above its result. With --steps a row each, from minus to plus (as
    a gif, an animation).

    data: a data set by name, or files; default: the run's own test examples
    n: number of examples
    by: how far along which directions, in standard deviations of the codes: "smile=1.5, age=-1"
    steps: number of stops between minus and plus

    morphogen edit runs/vae-digits --by eightness=2 -o edited.png
    morphogen edit last face.png --by "smile=1.5, age=-1" --steps 7 -o faces.gif
    """
    import torch

    from morphogen import steering
    from morphogen.tasks.words import strengths
    from morphogen.values import Values, joined
    from morphogen.work import device_of

    step, words = steering.move(run.run, model, strengths("by", by))
    stops = torch.linspace(-1, 1, steps) if steps > 1 else torch.ones(1)
    x, changed = [], []
    for batch in data.limited(n).batches(max(1, 500 // steps), device_of(model)):
        z = model.encode(batch.x, batch.y)
        way = step.reshape(1, *z.shape[1:]).to(z)
        codes = torch.cat([z[:, None] + stop * way[:, None] for stop in stops.to(z)], 1).flatten(0, 1)
        y = None if batch.y is None else batch.y.repeat_interleave(steps)
        x.append(batch.x.cpu())
        changed.append(model.decode(codes, y).cpu())
    remark = "; ".join(words)
    if steps > 1:
        return Values(joined(changed), model.space, steps, remark=remark)
    both, columns = above(joined(x), joined(changed))
    return Values(both, model.space, columns, remark=remark)


def above(originals: Tensor, results: Tensor) -> tuple[Tensor, int]:
    """Rows of originals with their results below, and how many stand in a row."""
    import torch

    columns = min(len(originals), max(8, round((2 * len(originals)) ** 0.5)))
    starts = range(0, len(originals), columns)
    rows = [part[start : start + columns] for start in starts for part in (originals, results)]
    return torch.cat(rows), columns


@task
def combine(
    model: Autoencodes, terms: list[str], *, run: OpenRun, n: Count = 500, label: str | None = None, fit: bool = False
) -> Values:
    """Arithmetic with codes: A - B + C, of classes, files, folders or data sets. Each stands for the mean of its codes;
    every term is shown in a row, and the result last.

    terms: A - B + C, separated by spaces
    n: number of examples of a class or a data set that are averaged
    label: class of the result, for a label-conditional model
    fit: resize files to what the model takes

    morphogen combine runs/vae-digits 8 - 3 + 5 -o sum.png
    morphogen combine last glasses - plain + ./me.png -o sum.png
    """
    import torch

    from morphogen.arithmetic import mean_code, result_label, signed
    from morphogen.values import Values
    from morphogen.work import decode_each, device_of

    parts = signed(terms)
    means = [mean_code(run, model, word, n, None if label is None else int(label), fit) for _, word in parts]
    total = sum((sign * code for (sign, _), (code, _) in zip(parts, means, strict=True)), start=torch.zeros(()))
    kinds = [kind for _, kind in means]
    y = result_label(model, [*kinds, kinds[0] if label is None else int(label)])
    codes = torch.stack([*(code for code, _ in means), total])
    x = decode_each(model, codes, None if y is None else y.to(device_of(model)))
    words = " ".join(f"{'-+'[sign > 0]} {word}" for sign, word in parts).removeprefix("+ ")
    return Values(x, model.space, len(x), remark=f"from the left: {', '.join(word for _, word in parts)}; {words}")
