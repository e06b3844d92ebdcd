"""Do samples show what was asked for? `python bench/meaning.py RUN`, of a label-conditional model or of an InfoGAN.

2,000 samples, read by the classifier that `morphogen judge` looks through (own). Told labels: the share that it reads
as the class that was named. A code with a choice: the share that it reads as the commonest class of their category, and
how much of the code the critic's guide reads back.
"""

from __future__ import annotations

import sys
from typing import Any

import torch

import morphogen
from morphogen import judges
from morphogen.core import noise
from morphogen.core.noise import Noise
from morphogen.data.find import open_data

N = 2_000


def told(model: Any, own: judges.Own) -> None:
    """Classes, each in turn."""
    y = torch.arange(N) % model.labels.length
    right = (own(model.sample(N, y))[1].argmax(1) == y).float()
    print(f"agreement with the label: {right.mean():.1%} of {N}")
    print("of each class:", *(f"{right[y == k].mean():.0%}" for k in range(model.labels.length)))


def chosen(model: Any, own: judges.Own) -> None:
    """Categories of the code."""
    z, guide = model.prior(model.generator).sample((N,)), model.critic.guides[0]
    kinds, end = guide.categories, guide.categories + guide.numbers
    choice, x = z[:, :kinds].argmax(1), model.decode(z)
    seen = own(x)[1].argmax(1)
    table = torch.zeros(kinds, own.classes).index_put_((choice, seen), torch.ones(N), accumulate=True)
    purity = table.max(1).values / table.sum(1)
    print(f"purity: {table.max(1).values.sum() / N:.1%} of {N}")
    print("of each category:", *(f"{k}:{v:.0%}" for k, v in zip(table.argmax(1).tolist(), purity, strict=True)))
    said = guide.read(model.critic.features(x))
    lost = (said[:, kinds:] - z[:, kinds:end]).square().mean(0) / z[:, kinds:end].var(0)
    print(f"read back: the choice {(said[:, :kinds].argmax(1) == choice).float().mean():.1%}, of the numbers' variance",
          *(f"{1 - share:.1%}" for share in lost))  # fmt: skip


def main() -> None:
    """One run."""
    torch.set_num_threads(1)
    run = morphogen.open(sys.argv[1])
    model: Any = run.model
    own = judges.own(open_data(run.run.recipe["data"]["use"]), model.space)
    with torch.inference_mode(), noise.source(Noise(0, "meaning", 0, 0, N)):
        (chosen if model.labels is None else told)(model, own)


if __name__ == "__main__":
    main()
