"""What samples are judged through, by name: `pixels`, `pairs`, `own`, `own:SET`, `inception:FILE`.

The classifier of a data set is taught once and kept in the user's cache, sealed. Its weights' hash is part of its name:
two scores with the same name were seen through the same eyes.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from morphogen import disk
from morphogen.core.space import Space, Tokens, space_from_facts
from morphogen.data.batches import Batches
from morphogen.data.dataset import Dataset
from morphogen.data.fetch import cache_folder
from morphogen.data.find import open_data
from morphogen.data.labels import known
from morphogen.errors import Failure, UserError, did_you_mean
from morphogen.metrics.classifier import BATCH, Classifier, Own, accuracy, enough, teach
from morphogen.metrics.features import Extractor, Pairs, Pixels

__all__ = ["judge_of", "own", "usual"]

MADE = 1  # rises when classifiers are made in another way, so that those in the cache are made anew
WORDS = ("pixels", "pairs", "own", "inception")


def usual(data: Dataset) -> str:
    """What is looked through where nobody says: a classifier where there are labels, else the values themselves."""
    if isinstance(data.space, Tokens):
        return "pairs"
    return data.judge or ("own" if _labelled(data) else "pixels")


def judge_of(word: str, data: Dataset, space: Space) -> Extractor:
    """The extractor of this name for examples of `space`."""
    kind, _, rest = word.partition(":")
    if kind == "pixels" and not rest:
        return Pixels(space)
    if kind == "pairs" and not rest:
        return Pairs(space)
    if kind == "own":
        return own(open_data(rest) if rest else replace(data, space=space), space)
    if kind == "inception" and rest:
        from morphogen.metrics.inception import opened  # a large network, for those who ask

        large: Extractor = opened(rest, space)
        return large
    if kind == "inception":
        raise UserError("which weights? give features = inception:FILE@SHA256, a safetensors or npz file")
    raise UserError(f"features = {word!r} is not known; {did_you_mean(kind, WORDS)}")


def own(data: Dataset, space: Space) -> Own:
    """The classifier of a data set: from the cache, or taught now."""
    if not _labelled(data):
        raise UserError(
            f"{data.name} has no labels of two classes or more to teach a classifier, or of fewer than half of its "
            "examples; give features = pixels"
        )
    classes = max(len(data.classes), 1 + int(data.splits["train"].y.max()))  # type: ignore[union-attr]
    path = cache_folder() / "classifiers" / f"{data.name}-{data.fingerprint[:16]}-{MADE}.safetensors"
    net, tested = _kept(path, classes) if path.is_file() else _taught(data, classes, path)
    stamp = disk.fingerprint(net.state_dict(), "")[:12]
    return Own(net, f"own:{data.name}@{stamp}", space, tested)


def _labelled(data: Dataset) -> bool:
    part = data.splits.get("train")
    if part is None or part.y is None or 2 * len(part := known(part)) < len(data.splits["train"]):
        return False  # of fewer labels than half a judge learns too little
    return len(part) > 1 and int(part.y.min()) < int(part.y.max())


def _taught(data: Dataset, classes: int, path: Path) -> tuple[Classifier, dict[str, Any]]:
    data = replace(data, splits={name: known(part) for name, part in data.splits.items()})
    seen = Batches(data, "train", BATCH, seed=0)
    steps = enough(len(seen))
    net = teach(data.space, classes, seen.at, steps=steps)
    seen.close()
    split = next(name for name in ("test", "valid", "train") if data.splits.get(name))
    right = accuracy(net, Batches(data, split, BATCH, shuffle=False).sweep(500))
    tested = {"data": data.name, "accuracy": round(right, 4), "of": split, "steps": steps}
    with suppress(Failure, OSError):  # without a cache it is taught again next time
        path.parent.mkdir(parents=True, exist_ok=True)
        disk.seal(
            path, net.state_dict(), {"space": json.dumps(data.space.facts()), "classes": classes, "tested": tested}
        )
    return net, tested


def _kept(path: Path, classes: int) -> tuple[Classifier, dict[str, Any]]:
    try:
        tensors, facts = disk.open_sealed(path)
        net = Classifier(space_from_facts(json.loads(facts["space"])), classes)
        net.load_state_dict(tensors)
        return net.eval().requires_grad_(False), dict(facts["tested"])
    except (UserError, KeyError, TypeError, ValueError, RuntimeError) as error:
        said = str(error).splitlines()[0]
        raise UserError(
            f"the kept classifier {path} cannot be used ({said}); remove it, and it is taught anew"
        ) from None
