"""Meanings of settings: what a recipe may say of a part, from the lines `name: meaning` of its documentation, or, where
many parts share a setting, from the table here."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

__all__ = ["SHARED", "meaning"]

SHARED = {
    "categorical": "columns of numbers that are to be read as words",
    "digest": "hash of the data at hand",
    "drop": "columns to leave out",
    "target": "the column that is the label",
    "act": "activation function",
    "augment": "how examples are changed before the critic sees them",
    "blocks": "residual blocks at every size",
    "categories": "classes of the discrete code",
    "count": "number of training examples",
    "critic": "net of the critic; none: the same kind as the generator's",
    "decoder": "net of the decoder; none: the same kind as the encoder's",
    "every": "steps between two evaluations of this cost (lazy regularisation)",
    "family": "what the generator says of an element",
    "features": "width of the critic's last layer",
    "game": "the loss of generator and critic",
    "latent": "dimensions of the latent code",
    "likelihood": "distribution of the data given the code, p(x|z); none: chosen by the data",
    "limit": "largest number of channels",
    "memory": "decay of the running mean",
    "mirror": "whether pictures may be mirrored",
    "mixture": "components of each mixture",
    "net": "network of the model",
    "norm": "normalisation of the layers: none, batch or another that the net knows",
    "path": "the file or folder",
    "penalties": "regularisers of the critic",
    "posterior": "distribution of the code given an example, q(z|x)",
    "prior": "distribution of the code, p(z)",
    "seed": "random seed of the data",
    "stages": "number of times the picture is halved; none: as often as it goes",
    "strict": "stop at the first bad file or row instead of skipping it",
    "terms": "parts of the loss, each with its weight",
    "test": "share of the examples for testing",
    "valid": "examples for validation: a number, or a share below 1",
    "weight": "weight of this part of the loss; a number or a schedule",
    "width": "channels of the first layer",
}


def meaning(make: Callable[..., Any], name: str) -> str:
    """What a setting of a constructor does; empty where nobody has said it.

    >>> def net(*, width: int = 8, teeth: int = 3) -> None:
    ...     \"\"\"A net.
    ...
    ...     teeth: number of teeth
    ...     \"\"\"
    >>> meaning(net, "teeth"), meaning(net, "width")
    ('number of teeth', 'channels of the first layer')
    """
    for line in (inspect.getdoc(make) or "").partition("\n\n")[2].splitlines():
        if line.startswith(f"{name}: "):
            return line.removeprefix(f"{name}: ")
    return SHARED.get(name, "")
