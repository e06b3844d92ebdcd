"""The likelihood that fits the data and shows pictures early: a normal over levels for pictures, else what is usual."""

from __future__ import annotations

from morphogen.core.build import part, register
from morphogen.core.conditional import Family
from morphogen.core.space import Space
from morphogen.families import natural

__all__ = ["fitting"]


@register("families", "auto")
def fitting(space: Space, /) -> Family:
    """`normal-discrete` for pictures of three or more levels, else what a recipe has that says nothing."""
    name = "normal-discrete" if space.kind == "image" and space.levels > 2 else natural(space)
    family: Family = part("families", name)(space)
    return family
