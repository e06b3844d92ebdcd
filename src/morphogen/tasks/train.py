"""Train: a recipe and data become a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from morphogen.errors import UserError
from morphogen.tasks.task import task

if TYPE_CHECKING:
    from morphogen.opened import OpenRun
    from morphogen.run import Run

__all__ = ["resume", "train"]

CHANGEABLE = ("train", "device", "precision")
LIMITS = ("steps", "epochs", "minutes")


@task
def train(
    recipe: str,
    data: str | None = None,
    settings: list[str] = [],  # noqa: B006  (never written to)
    *,
    run: Path | None = None,
    dry_run: bool = False,
    quiet: bool = False,
) -> dict[str, Any]:
    """Train a recipe on data; any setting of the recipe can be changed.

    recipe: a name that `morphogen recipes` lists, or a .toml file
    data: a name that `morphogen data` lists, or a folder or file; default: the data of the recipe
    settings: NAME=VALUE, e.g. steps=5000 batch=64 lr=3e-4 model.latent=64; `morphogen recipes RECIPE` lists them
    run: the folder to make (default runs/RECIPE-DATA); after torchrun, which takes --run for itself, write run=DIR
    dry_run: two steps in a folder that is thrown away: what would be trained, on what, and for how long
    quiet: no progress

    morphogen train vae digits steps=2000
    morphogen train beta-vae ./pictures minutes=10 model.latent=64 --run runs/mine
    """
    import os

    from morphogen import session
    from morphogen.catalogue import write_origin

    words = list(settings)
    if isinstance(data, str) and "=" in data and not _exists(data):  # RECIPE leaf=value: no data was named
        words, data = [data, *words], None
    for word in [word for word in words if word.startswith("run=")]:
        run = Path(word.removeprefix("run="))
        words.remove(word)
    spec = _spec(data)
    if dry_run:
        return rehearse(recipe, spec, words)
    made, found = session.start(recipe, spec, words, run)
    if os.environ.get("RANK", "0") == "0":
        write_origin(made.path, recipe, words)
    try:
        return _finish(made, session.fit(made, found, quiet=quiet))
    except UserError:
        made.take_back()  # a mistake that shows only when the model is built leaves no folder behind
        raise


@task
def resume(
    run: OpenRun,
    settings: list[str] = [],  # noqa: B006  (never written to)
    *,
    quiet: bool = False,
) -> dict[str, Any]:
    """Go on with a run that was stopped, or train a finished one for longer.

    settings: what may change now: steps=40000 save_every=500 device=cuda precision=float32 ...
    quiet: no progress

    morphogen resume last
    morphogen resume runs/vae-digits steps=40000
    """
    from morphogen import session
    from morphogen.shorthand import spelled_out

    if settings:
        _change(run.run, spelled_out(run.run.recipe, settings))
    return _finish(run.run, session.fit(run.run, quiet=quiet))


def _spec(data: Any) -> Any:
    """A path as the recipe that looking at it gives; a name stays a name, so that the recipe's own options hold."""
    from morphogen.core.build import names
    from morphogen.data.find import resolve

    if data == "":  # as a path it would be the folder where we stand, and all that lies below it
        raise UserError("data is empty; name a set (`morphogen data` lists them) or a folder or file of yours")
    return resolve(data) if isinstance(data, (str, Path)) and str(data) not in names("data") else data


def _exists(word: str) -> bool:
    try:
        return Path(word).exists()
    except OSError:  # longer than a name can be
        return False


def _finish(run: Run, facts: dict[str, Any]) -> dict[str, Any]:
    """Curves and the model card, by the first rank; where the run is, first of all."""
    import os

    from morphogen import figures, report
    from morphogen.closing import closing

    if int(os.environ.get("RANK", "0")) == 0 and not facts["stopped"]:
        figures.curves(run)
        report.write(run)
    from morphogen.core.model import Samples

    task = "resume" if facts["stopped"] else "sample" if isinstance(run.build(), Samples) else "classify"
    return closing(run, facts, task)


def _change(run: Run, leaves: list[str]) -> None:
    """Other leaves of training for a run that is there; a new limit takes the place of the old one."""
    from morphogen import disk
    from morphogen import recipe as recipes
    from morphogen.plan import Plan
    from morphogen.run import MANIFEST, RECIPE

    for leaf in leaves:
        name = leaf.partition("=")[0]
        if name.partition(".")[0] not in CHANGEABLE:
            raise UserError(f"{name} cannot change once a run has begun; train a new run with {leaf}")
    tree = recipes.change(run.recipe, [])
    if any(leaf.partition("=")[0] == f"train.{limit}" for leaf in leaves for limit in LIMITS):
        tree["train"] = {k: v for k, v in tree["train"].items() if k not in LIMITS}
    tree = recipes.change(tree, leaves)
    tree["train"] = Plan.complete(tree["train"])
    with run.locked():
        state = run.load_state()
        # killed halfway, the old manifest would call the new recipe damaged; without one, the run still opens
        (run.path / MANIFEST).unlink(missing_ok=True)
        run.recipe = tree
        disk.write(run.path / RECIPE, recipes.to_toml(tree) + "\n")
        if state is not None:  # a state that says "finished" would end the training before it begins
            run.save_state(int(state[1]["step"]), state[0], state[1] | {"finished": False})
        run.seal_manifest()


def _of_labels(whole: dict[str, Any], model: Any) -> list[str]:
    """What is to be said where labels are hidden from a model that reads none."""
    count = whole["data"].get("labels")
    if not count or model.labels is not None:
        return []
    return [f"data.labels = {count} hides labels, and this model reads none; they are left for `classify` alone"]


def rehearse(recipe: Any, data: Any, leaves: list[str]) -> dict[str, Any]:
    """Two steps in a folder that is thrown away: what would be trained, on what, and for about how long."""
    import tempfile
    import time

    from morphogen import machine, session
    from morphogen.plan import Plan
    from morphogen.ranks import Ranks
    from morphogen.run import Run
    from morphogen.train import Training
    from morphogen.train import train as loop

    whole, found = session.complete(recipe, data, leaves)
    whole["train"]["compile"] = False
    with tempfile.TemporaryDirectory() as folder:
        made = Run.create(Path(folder) / "run", whole, found.facts())
        training = Training(made, found, Ranks(device=machine.choose_device(whole["device"])))
        steps = loop(training)
        first, began = next(steps), time.perf_counter()
        next(steps, None)
        seconds = time.perf_counter() - began
        minutes, limit = Plan.from_recipe(whole["train"]).minutes, training.limit
        steps_take = f"{limit:,} steps, about {seconds * limit / 60:.1f} minutes" if limit else ""
        return {
            "data": found.facts()["sizes"]
            | {
                "name": found.name,
                "classes": len(found.classes),
                "labelled": found.labelled,
                "skipped": len(found.skipped),
            },
            "left_out": [{"file": name, "why": reason} for name, reason in found.skipped[:20]],
            "remarks": found.remarks + _of_labels(whole, training.model),
            "space": found.space.facts(),
            "parameters": sum(p.numel() for p in training.model.parameters()),
            "device": str(training.ranks.device),
            "precision": str(training.precision).removeprefix("torch."),
            "batch": training.batch,
            "length": steps_take or f"{minutes:g} minutes",
            "first_step": {k: v for k, v in (first.record or {}).items() if k not in ("step", "fraction", "time")},
            "written": "nothing: this was a dry run",
        }
