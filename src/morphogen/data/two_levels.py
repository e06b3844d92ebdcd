"""Pictures of two levels, black and white, found by looking at the values that occur in all of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from morphogen.core.space import Image
from morphogen.data.album import Album
from morphogen.data.binary import Above, mapped
from morphogen.data.dataset import Store

__all__ = ["two_levels"]

TOP = 255


def two_levels(pages: Album, space: Image) -> tuple[Image, Store, str, list[str]]:
    """The space and the pictures with two levels where they hold two values, one dark, one bright; a word for the
    protocol, and what to say where they nearly do."""
    stored, own = (np.flatnonzero(values).tolist() for values in (pages.values, pages.own))
    if len(stored) == 2 and [Above(TOP).dark(value) for value in stored] == [True, False]:
        return replace(space, levels=2), mapped(pages.store, Above(TOP)), ", two levels", []
    if len(stored) == 2:
        low, high = stored
        return space, pages.store, "", [
            f"the pictures hold the values {low} and {high} of 0 .. {TOP} and no others, which looks like masks or "
            f"labels; save them as 0 and {TOP} to have pictures of two levels"
        ]  # fmt: skip
    if len(own) == 2:
        size = f"{space.width} x {space.height}"
        return space, pages.store, "", [
            f"the pictures are black and white, and greys came of resizing them to {size}: data.binary=threshold makes "
            "them black and white again, data.binary=dynamic draws each pixel as often as it is bright"
        ]  # fmt: skip
    return space, pages.store, "", []
