"""Shelf: tensor -> Distribution. One file, one family; dropping a file in is all it takes."""

from __future__ import annotations

from morphogen.core.space import Space

__all__ = ["natural"]


def natural(space: Space) -> str:
    """The family that fits data of this kind when a recipe says nothing.

    >>> from morphogen.core.space import Image, Vector
    >>> natural(Image(28, 28, levels=2)), natural(Image(32, 32, 3)), natural(Vector(4))
    ('bernoulli', 'logistics', 'normal-shared')
    """
    if space.kind == "tokens":
        return "categorical"
    if space.kind == "table":
        return "mixed"
    if space.levels == 2:
        return "bernoulli"
    return "logistics" if space.levels > 2 else "normal-shared"
