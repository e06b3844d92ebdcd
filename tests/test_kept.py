"""What a task learned for the weights of a run is kept beside them, and never used with others."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import morphogen as mg
from morphogen.errors import UserError
from morphogen.run import Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "run"
    mg.train("vae", "digits", {"model.net.widths": [8], "data.limit": 50}, steps=2, run=path, quiet=True)
    return path


def test_what_is_kept_comes_back(folder: Path) -> None:
    run = Run.open(folder)
    assert run.kept("smile") is None
    run.keep("smile", {"way": torch.arange(3.0)}, {"of": "hand"})
    tensors, facts = Run.open(folder).kept("smile") or ({}, {})
    assert torch.equal(tensors["way"], torch.arange(3.0))
    assert facts["of"] == "hand"


def test_other_weights_do_not_use_it(folder: Path) -> None:
    run = Run.open(folder)
    run.keep("once", {"way": torch.ones(1)}, {})
    model = run.model()
    next(model.parameters()).data.add_(1)
    run.save_weights(model, {"step": 2})
    assert run.kept("once") is None


def test_that_of_another_run_is_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    mg.train("vae", "digits", {"model.net.widths": [8], "data.limit": 50}, steps=2, seed=1, run=other, quiet=True)
    Run.open(folder).keep("mine", {"way": torch.ones(1)}, {})
    (other / "kept").mkdir()
    (other / "kept" / "mine.safetensors").write_bytes((folder / "kept" / "mine.safetensors").read_bytes())
    with pytest.raises(UserError, match="not of this run"):
        Run.open(other).kept("mine")


@pytest.mark.parametrize("name", ["", "../x", "a/b", "a b", "x" * 65, "ä", "a.b"])
def test_names_that_could_leave_the_folder_are_refused(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match="is no name"):
        Run.open(folder).keep(name, {}, {})
