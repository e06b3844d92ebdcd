"""Spectral normalisation (Miyato et al. 2018): every layer of the critic stretches nothing by more than one."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from morphogen.core.build import register
from morphogen.core.game import Bout, Penalty
from morphogen.core.space import Space

__all__ = ["spectral"]


@register("penalties")
class spectral(Penalty):
    """No cost: the weights of the critic are divided by their largest singular value, one power iteration a step."""

    def __init__(self, space: Space, /) -> None:
        super().__init__(space)

    def fit(self, critic: nn.Module) -> None:
        layers = [m for m in critic.modules() if isinstance(m, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d))]
        for layer in layers:
            if bool(layer.weight.any()):  # a layer that starts as zeros has no direction to divide by
                spectral_norm(layer)

    def due(self, step: int) -> bool:
        return False

    def forward(self, bout: Bout) -> Tensor:
        return bout.said_real.new_zeros(len(bout.said_real))
