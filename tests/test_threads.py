"""Threads of one process train and draw as if each were alone, and leave torch's own generators as they found them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import morphogen as mg
from morphogen.core import noise
from morphogen.core.build import names, part
from morphogen.core.noise import Initialisation, Noise
from morphogen.core.space import Image


def together(work: Callable[[], Any], count: int = 2) -> list[Any]:
    """What `work` gives in each of several threads that begin at once."""
    gate, results = threading.Barrier(count), [None] * count

    def run(place: int) -> None:
        gate.wait()
        results[place] = work()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_draws_of_two_threads_do_not_mix() -> None:
    def drawn() -> torch.Tensor:
        with noise.source(Noise(3, "threads")):
            return torch.stack([noise.normal((4, 2), event=1, like=torch.zeros(1)) for _ in range(200)])

    alone = drawn()
    assert all(torch.equal(alone, each) for each in together(drawn, 4))


def test_two_fits_in_two_threads_are_each_what_one_gives_alone(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(96, 5)).astype(np.float32)

    def codes() -> Any:
        run = tmp_path / str(threading.get_ident())
        return mg.train("vae", x, run=run, steps=12, seed=5, quiet=True).encode(x).x

    alone = codes()
    for each in together(codes):
        assert np.array_equal(np.asarray(alone), np.asarray(each))


def test_weights_are_initialised_while_others_draw_from_the_generator_of_the_process() -> None:
    image = Image(1, 16, 16)
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            torch.rand(7)

    def weights() -> list[torch.Tensor]:
        with Initialisation(4):
            return list(part("models", "vae")(image, None).state_dict().values())

    alone = weights()
    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        again = [weights() for _ in range(5)]
    finally:
        stop.set()
        thread.join()
    assert all(torch.equal(a, b) for each in again for a, b in zip(alone, each, strict=True))


@pytest.mark.parametrize("name", names("models"))
def test_building_a_model_leaves_the_generator_of_the_process_alone(name: str) -> None:
    space = Image(3, 32, 32)
    before = torch.get_rng_state()
    with Initialisation(7):
        model = part("models", name)(space, part_labels(name))
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(7)
    try:
        classic = part("models", name)(space, part_labels(name))
    finally:
        torch.set_rng_state(before)
    for key, value in classic.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key


def part_labels(name: str) -> Any:
    from morphogen.core.space import Vector

    return Vector(3, columns=("a", "b", "c")) if name in ("classifier", "semi", "sgan", "stacked") else None
