"""The other side of `dcgan.py`: a DCGAN as tutorials train it, in plain PyTorch and as few words as possible.

Float32, contiguous, nn.Conv2d and nn.ConvTranspose2d, torch.optim.Adam, a loss of logits. Pictures lie in memory as
floats from -1 to 1, so that no loader costs anything; nothing but Adam's state is kept from step to step.
`--careful` is the same loop by somebody who knows the machine: channels-last, bfloat16 by autocast, fused Adam.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from morphogen.data.find import open_data

__all__ = ["BETAS", "LATENT", "Plain", "critic", "generator", "serve"]

LATENT, BETAS = 100, (0.5, 0.999)


def generator() -> nn.Sequential:
    """Noise to 64 x 64 pixels: 512, 256, 128 and 64 channels."""
    layers: list[nn.Module] = []
    counts = [LATENT, 512, 256, 128, 64]
    for i in range(4):
        stride, padding = (2, 1) if i else (1, 0)
        layers += [nn.ConvTranspose2d(counts[i], counts[i + 1], 4, stride, padding, bias=False)]
        layers += [nn.BatchNorm2d(counts[i + 1]), nn.ReLU(True)]
    return _started(nn.Sequential(*layers, nn.ConvTranspose2d(64, 3, 4, 2, 1, bias=False), nn.Tanh()))


def critic() -> nn.Sequential:
    """Its mirror, to one logit."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, True)]
    for count in (64, 128, 256):
        layers += [nn.Conv2d(count, 2 * count, 4, 2, 1, bias=False), nn.BatchNorm2d(2 * count), nn.LeakyReLU(0.2, True)]
    return _started(nn.Sequential(*layers, nn.Conv2d(512, 1, 4, 1, 0)))


def _started(net: nn.Sequential) -> nn.Sequential:
    for layer in net:
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d)):
            nn.init.normal_(layer.weight, 0.0, 0.02)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.normal_(layer.weight, 1.0, 0.02)
    return net


class Plain:
    """The loop, step by step."""

    def __init__(self, ask: argparse.Namespace) -> None:
        torch.manual_seed(0)
        data = open_data("sprites")
        stored = data.splits["train"].x
        self.pictures = (2 * data.space.read(stored.gather(torch.arange(len(stored)))) - 1).contiguous()
        self.batch, self.careful = ask.batch, ask.careful
        self.generator, self.critic = generator(), critic()
        if self.careful:
            for net in (self.generator, self.critic):
                net.to(memory_format=torch.channels_last)
        more = {"fused": True} if self.careful else {}
        self.optimisers = [
            torch.optim.Adam(net.parameters(), lr=ask.rate, betas=BETAS, **more)
            for net in (self.generator, self.critic)
        ]
        self.loss = nn.BCEWithLogitsLoss()

    def step(self, real: Tensor, noise: Tensor) -> tuple[float, float]:
        """The critic learns from real and from made up, then the generator from the critic; both losses."""
        about = torch.autocast("cpu", torch.bfloat16) if self.careful else nullcontext()
        real = real.contiguous(memory_format=torch.channels_last) if self.careful else real
        yes, no = torch.ones(len(real)), torch.zeros(len(real))
        for_generator, for_critic = self.optimisers
        for_critic.zero_grad()
        with about:
            on_real = self.loss(self.critic(real).view(-1).float(), yes)
        on_real.backward()
        with about:
            fake = self.generator(noise)
            on_fake = self.loss(self.critic(fake.detach()).view(-1).float(), no)
        on_fake.backward()
        for_critic.step()
        for_generator.zero_grad()
        with about:
            fooled = self.loss(self.critic(fake).view(-1).float(), yes)
        fooled.backward()
        for_generator.step()
        return float(on_real) + float(on_fake), float(fooled)

    def run(self, steps: int) -> dict[str, Any]:
        """So many steps on random batches."""
        cpu, wall = time.process_time(), time.perf_counter()
        for _ in range(steps):
            rows = torch.randperm(len(self.pictures))[: self.batch]
            losses = self.step(self.pictures[rows], torch.randn(len(rows), LATENT, 1, 1))
        wall = time.perf_counter() - wall
        return {"seconds": wall, "cpu_seconds": time.process_time() - cpu, "steps": steps, "loss": losses}

    def parity(self, file: str, steps: int) -> dict[str, Any]:
        """First weights, rows, noise and losses of some steps, for the other side to do the same."""
        import numpy as np

        nets = {"generator": self.generator, "critic": self.critic}
        kept = {f"{who}|{k}": v.detach().clone() for who, net in nets.items() for k, v in net.named_parameters()}
        draw = torch.Generator().manual_seed(1)
        rows = torch.stack([torch.randperm(len(self.pictures), generator=draw)[: self.batch] for _ in range(steps)])
        noise = torch.randn(steps, self.batch, LATENT, generator=draw)
        losses = [self.step(self.pictures[r], z[:, :, None, None]) for r, z in zip(rows, noise, strict=True)]
        np.savez(file, rows=rows.numpy(), noise=noise.numpy(), **{k: v.numpy() for k, v in kept.items()})
        return {"loss": [loss for pair in losses for loss in pair]}

    def facts(self) -> dict[str, Any]:
        """What must be alike."""
        count = sum(p.numel() for net in (self.generator, self.critic) for p in net.parameters())
        return {"threads": torch.get_num_threads(), "torch": torch.__version__, "parameters": count}


def serve(worker: Any) -> None:
    """{"do": "run", "steps": 5} -> {"seconds": ...}; also parity; an empty line or the end ends."""
    print(json.dumps({"ready": True, **worker.facts()}), flush=True)
    for line in sys.stdin:
        if not line.strip():
            break
        request = json.loads(line)
        try:
            said = getattr(worker, request.pop("do"))(**request)
        except Exception as error:  # the other side decides what to do about it
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rate", type=float, default=2e-4)
    parser.add_argument("--careful", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    ask = parser.parse_args()
    torch.set_num_threads(ask.threads)
    serve(Plain(ask))


if __name__ == "__main__":
    main()
