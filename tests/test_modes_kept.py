"""The recipe `points-gan` finds every mode of ring and grid; the first game, with the same nets and steps, does not.

Seeded; a mode is found where one of 10,000 samples lies within three deviations of its centre. Blurred samples would
hit many modes by chance, so most of them must be good and the rarest mode must have a tenth of its due.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from morphogen import session
from morphogen.api import leaf_words

BENCH = Path(__file__).resolve().parent.parent / "bench"
sys.path.append(str(BENCH))

import modes_kept  # noqa: E402


def test_nothing_but_the_game_and_its_penalties_differs(tmp_path):
    ours, first = (
        session.start("points-gan", "ring", leaf_words(leaves), tmp_path / game)[0].recipe
        for game, leaves in modes_kept.GAMES.items()
    )
    assert ours["model"]["game"] != first["model"]["game"]
    assert [penalty["use"] for penalty in ours["model"]["penalties"]] == ["r1", "r2"]
    assert first["model"]["penalties"] == []
    same = {"game": "any", "penalties": "any"}
    assert ours | {"model": ours["model"] | same} == first | {"model": first["model"] | same}


@pytest.mark.nightly
@pytest.mark.parametrize("data", ["ring", "grid"])
def test_r3_keeps_the_modes_that_the_first_game_drops(data, tmp_path):
    kept, first = (modes_kept.counted(modes_kept.trained(game, data, 0, tmp_path))[2] for game in modes_kept.GAMES)
    assert kept.hit == len(kept.counts)
    assert first.hit < len(first.counts)
    assert float(kept.quality.mean()) > 0.5
    assert int(kept.counts.min()) > int(kept.counts.sum()) / len(kept.counts) / 10
