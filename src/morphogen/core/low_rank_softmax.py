"""One of thousands of words: chances by the product of a few numbers with an embedding of each word, a softmax of low
rank, and each word as a code of signs."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import Tensor

from morphogen.core import noise

__all__ = ["Vocabulary"]

AT_ONCE = 2**23  # scores of words that are held at once, where no gradient is wanted


class Vocabulary:
    """Words by `said` (..., rank); embedding is (words, rank), bias (words), codes (words, bits)."""

    def __init__(self, said: Tensor, embedding: Tensor, bias: Tensor, codes: Tensor) -> None:
        self.said, self.embedding, self.bias, self.codes = said, embedding, bias, codes.to(said)

    @cached_property
    def log_p(self) -> Tensor:
        """log chances of all words."""
        return torch.log_softmax(self._logits(self.said), -1)

    def _logits(self, said: Tensor) -> Tensor:
        return said @ self.embedding.T.to(said) + self.bias.to(said)

    def log_prob(self, word: Tensor) -> Tensor:
        """log p of a word by its number, for any more dimensions in front of what was said of it."""
        lead = (word + 0 * self.said[..., 0]).shape
        said, word = self.said.expand(*lead, -1).reshape(-1, self.said.shape[-1]), word.expand(lead).reshape(-1)
        many = max(1, AT_ONCE // len(self.bias))
        parts = (
            [(said, word)]
            if torch.is_grad_enabled()
            else zip(torch.split(said, many), torch.split(word, many), strict=True)
        )
        found = [torch.log_softmax(self._logits(s), -1).gather(-1, w[:, None])[:, 0] for s, w in parts]
        return torch.cat(found).reshape(lead)

    def sample(self, shape: tuple[int, ...]) -> Tensor:
        """Codes of drawn words."""
        u = noise.uniform((*shape, *self.said.shape[:-1], 1), event=1, like=self.said)
        edges = torch.exp(self.log_p).cumsum(-1)
        place = torch.searchsorted(edges.expand(*shape, *edges.shape).contiguous(), u.to(edges.dtype) * edges[..., -1:])
        return self.codes[place[..., 0].clamp_max(len(self.bias) - 1)]

    @property
    def moments(self) -> tuple[Tensor, Tensor]:
        """Mean and variance of the elements of the code."""
        chance = torch.exp(self.log_p)
        mean = chance @ self.codes
        return mean, (chance @ self.codes.square() - mean.square()).clamp_min(0)

    @property
    def centre(self) -> Tensor:
        """The code of the likeliest word."""
        return self.codes[self.log_p.argmax(-1)]
