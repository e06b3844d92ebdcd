"""From an example back to its code, by descent: what a generator that has no posterior needs for encoding
(Zhu et al. 2016, "Generative visual manipulation on the natural image manifold": a net guesses, descent mends)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["descend"]


def descend(
    decode: Callable[[Tensor], Tensor], x: Tensor, starts: Tensor, *, steps: int = 200, rate: float = 0.05
) -> Tensor:
    """For each x the code, of those reached from `starts` (tries, batch, *code), whose picture is nearest.

    Every start goes a tenth of the way; the best of each x goes on. Adam, at a rate that falls to nothing.
    """
    with torch.enable_grad():
        tries = len(starts)
        if tries > 1:
            codes = _adam(decode, x.repeat(tries, *[1] * (x.dim() - 1)), starts.flatten(0, 1), steps // 10, rate)
            with torch.no_grad():
                apart = _apart(decode(codes), x.repeat(tries, *[1] * (x.dim() - 1))).reshape(tries, len(x))
            best = apart.argmin(0)
            starts = codes.reshape(starts.shape)[best, torch.arange(len(x), device=x.device)][None]
        return _adam(decode, x, starts[0], steps, rate)


def _apart(said: Tensor, x: Tensor) -> Tensor:
    return (said - x).square().flatten(1).mean(1)


def _adam(decode: Callable[[Tensor], Tensor], x: Tensor, start: Tensor, steps: int, rate: float) -> Tensor:
    code = start.detach().clone().requires_grad_()
    best, least = code.detach().clone(), torch.full((len(x),), float("inf"), device=x.device)
    optimiser = torch.optim.Adam([code], lr=rate, betas=(0.9, 0.99))
    for step in range(steps + 1):
        apart = _apart(decode(code), x)
        better = apart.detach() < least
        least = torch.where(better, apart.detach(), least)
        best = torch.where(better.reshape(-1, *[1] * (code.dim() - 1)), code.detach(), best)
        if step == steps:
            break
        # every example has a descent of its own: the sum keeps their gradients apart
        (code.grad,) = torch.autograd.grad(apart.sum(), [code])
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        optimiser.step()
    return best
