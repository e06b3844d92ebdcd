"""The Python side: train, open, tasks as methods, values that show and save themselves."""

import contextlib
import inspect
import json
import os
import shutil
import sqlite3
import subprocess
import sys

import numpy as np
import pytest
import torch

import morphogen as mg
from morphogen.api import leaf_words
from morphogen.errors import UserError
from morphogen.report import sparkline
from morphogen.tasks.task import OPENED, find, tasks
from morphogen.tasks.words import READERS


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    home = tmp_path_factory.mktemp("api")
    return mg.train(
        "vae", "digits", {"model.latent": 3}, model__net__widths=[16], batch=32, steps=6, log_every=2,
        device="cpu", run=home / "run", quiet=True,
    )  # fmt: skip


def test_train_stays_a_function(run):
    assert inspect.isfunction(mg.train)
    from morphogen.train import train

    assert inspect.isgeneratorfunction(train)


def test_train_takes_leaves_in_every_spelling(run):
    recipe = run.run.recipe
    assert recipe["model"]["latent"] == 3
    assert recipe["model"]["net"]["widths"] == [16]
    assert recipe["train"]["steps"] == 6
    assert (run.path / "weights.safetensors").is_file()


@pytest.mark.parametrize("value", [1, 1.5, True, "a b", [1, 2], {"use": "ramp", "to": 4.0}, 'quo"te'])
def test_leaves_survive_the_way_through_words(value):
    from morphogen import recipe

    changed = recipe.change({}, leaf_words({"model.x": value}))
    assert changed == {"model": {"x": value}}


def test_methods_are_the_tasks(run):
    for task in tasks().values():
        if task.of_a_run:
            method = getattr(run, task.name)
            assert method.__doc__
            assert task.name in dir(run)
            own = list(inspect.signature(task.function).parameters.values())[1:]
            assert list(inspect.signature(method).parameters.values()) == [p for p in own if p.annotation != "OpenRun"]
        else:
            assert not hasattr(run, task.name) or task.name == "compress"  # of files, with the run as its model
    with pytest.raises(AttributeError, match="sample"):
        run.sampel  # noqa: B018


def test_samples_show_and_save_themselves(run, tmp_path):
    values = run.sample(5, seed=1)
    assert len(values) == 5
    assert values[0].shape == run.space.shape
    assert np.asarray(values).shape == values.x.shape
    assert str(values).strip()
    assert values._repr_png_().startswith(b"\x89PNG")
    assert values._repr_html_() is None
    assert values.save(tmp_path / "grid.png") == [tmp_path / "grid.png"]
    with pytest.raises(UserError, match="overwritten"):
        values.save(tmp_path / "grid.png")
    values.save(tmp_path / "grid.png", force=True)
    assert torch.equal(values.x, run.sample(5, seed=1).x)
    assert not torch.equal(values.x, run.sample(5, seed=2).x)
    assert "<table" in run._repr_html_()
    assert "digits" in repr(run)


def test_arrays_are_data(run):
    seen = torch.rand(4, *run.space.shape)
    stored = run.space.write(seen)
    assert torch.equal(run.encode(stored).x, run.encode(stored.numpy()).x)
    assert torch.equal(run.encode(seen).x, run.encode(stored).x)
    codes = run.encode(stored)
    back = run.decode(codes)
    assert back.x.shape == seen.shape
    assert torch.equal(run.decode(codes.x).x, back.x)
    pairs = run.reconstruct(stored, 4)
    assert pairs.columns == 4
    assert torch.allclose(pairs.x[:4], run.space.read(stored))
    assert (pairs.x[4:] - back.x).abs().mean() < 0.1  # the same, each at the precision of its task
    for bad in (np.zeros((2, 5, 5)), np.zeros((0, 8, 8, 1), np.uint8), object(), 3):
        with pytest.raises(UserError):
            run.encode(bad)
    with pytest.raises(UserError, match="finite"):
        run.encode(torch.full((1, 1, 8, 8), float("nan")) + 0)


def test_scores_carry_their_protocol(run):
    said = run.score(n=8, samples=3)
    assert said["elbo"] == pytest.approx(-(said["distortion"] + said["rate"]))
    protocol = said["protocol"]
    assert (protocol["data"], protocol["split"], protocol["n"], protocol["samples"]) == ("digits", "test", 8, 3)
    assert protocol["weights"]
    assert protocol["fingerprint"]
    assert json.dumps(said)
    other = run.score(split="valid", n=8, samples=3)
    assert other["protocol"]["split"] == "valid"


def test_walks_begin_and_end_at_their_examples(run):
    codes = run.encode(n=3).x
    ends = run.decode(codes).x
    for spherical in (False, True):
        walk = run.interpolate(n=3, steps=4, spherical=spherical)
        assert len(walk) == 12
        for stop, end in ((0, 0), (3, 1), (4, 1), (11, 0)):
            assert (walk.x[stop] - ends[end]).abs().mean() < 0.1


def test_wrong_arguments_are_refused(run):
    for wrong in ({"n": 0}, {"n": True}, {"n": 2.5}, {"seed": -1}, {"temperature": float("nan")}, {"sed": 1}):
        with pytest.raises(UserError):
            run.sample(**wrong)
    with pytest.raises(UserError):
        run.sample(1, 2)
    with pytest.raises(UserError, match="not a run"):
        mg.open("/nowhere")
    with pytest.raises(UserError):
        find("sampel")
    with pytest.raises(AttributeError):
        mg.nothing  # noqa: B018


LISTED = "list[dict[str, Any]] | dict[str, Any]"  # a list, or, of a name in it, its facts


def test_tasks_say_what_they_take():
    for task in tasks().values():
        assert task.summary, task.name
        assert task.group, task.name
        assert task.gives in ("Values", "dict[str, Any]", "list[dict[str, Any]]", LISTED), task.name
        for argument in task.arguments:
            assert argument.help, f"{task.name}: {argument.name} has no help"
            assert argument.type in (*READERS, *OPENED) or argument.type.startswith("Literal[")


def test_pictures_and_report(run, tmp_path):
    plane = run.manifold(n=3)
    written = plane.save(tmp_path / "plane.png")
    assert [p.name for p in written] == ["plane.png", "plane-codes.png"]
    assert "two most active" in plane.remark
    run.evaluate(n=5, samples=2)
    report = (run.path / "report.md").read_text()
    assert report.count("### likelihood") == 1
    run.evaluate(n=5, samples=2)
    assert (run.path / "report.md").read_text() == report
    run.evaluate(n=6, samples=2)
    assert (run.path / "report.md").read_text().count("### likelihood") == 2
    assert (run.path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_any_log_can_be_drawn(run, tmp_path):
    from morphogen import figures
    from morphogen.run import Run

    class Fake(Run):
        def __init__(self, records):
            self.path, self.records = tmp_path, records

        def log(self):
            return self.records

    assert figures.curves(Fake([])) is None
    odd = [{"step": s, "loss/critic": 1.0, "loss/generator": -s, "x|y <b>": 0.0, "tokens/s": 5.0} for s in range(1, 9)]
    bad = [{"step": 9, "loss/critic": float("nan"), "valid/fid": 3.0}, {"event": "oops"}, {"step": 3, "event": "again"}]
    assert figures.curves(Fake(odd + bad)).is_file()


def test_a_training_of_one_record_is_seen():
    """A line of one point has no length."""
    from matplotlib.figure import Figure

    from morphogen import figures

    axis = Figure().subplots()
    figures._panel(axis, "loss", {"model": [(40.0, 3.0)]})
    assert axis.lines[0].get_marker() == "o"


def test_a_sparkline():
    assert sparkline([1.0]) == "1.00 ▁ 1.00"


def test_trackers(run, monkeypatch):
    from morphogen.trackers import open_trackers

    with pytest.raises(UserError, match="tensorboard"):
        open_trackers(["tensorbord"], run.run)
    assert open_trackers([], run.run) == []
    monkeypatch.setitem(__import__("sys").modules, "trackio", None)
    with pytest.raises(UserError, match="pip install"):
        open_trackers(["trackio"], run.run)


def test_tensorboard_takes_numbers_samples_and_settings(run, tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is an extra")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    from morphogen.run import Run
    from morphogen.trackers import open_trackers

    copy = Run.open(shutil.copytree(run.path, tmp_path / "copy"))
    for grid in (copy.path / "samples").iterdir():
        grid.unlink()
    (tracker,) = open_trackers(["tensorboard"], copy)
    tracker.write({"step": 1, "rate": 2.0, "time": 3.0, "event": "words are left out"})
    shutil.copy(sorted((run.path / "samples").glob("*.png"))[-1], copy.path / "samples" / "step-000000002.png")
    tracker.close()
    told = EventAccumulator(str(copy.path / "tensorboard"), size_guidance={"images": 0}).Reload()
    assert set(told.Tags()["scalars"]) == {"rate", "seconds"}
    assert [image.step for image in told.Images("samples")] == [2]
    assert "recipe/text_summary" in told.Tags()["tensors"]
    assert "_hparams_/session_start_info" in told.summary_metadata


def test_progress_lines(capsys, run):
    from morphogen.progress import bar
    from morphogen.train import Progress

    record = {"step": 5, "fraction": 0.5, "rate": 1.0, "distortion": 2.0, "loss/model": 3.0, "images/s": 1234.0}
    with bar("title", quiet=False) as show:
        show(Progress(5, 0.5, record), {"loss": 9.0})
        show(Progress(6, 0.6, None), {})
    err = capsys.readouterr().err
    assert "rate 1.00  distortion 2.00  valid 9.00" in err
    assert "1,234 images/s" in err
    assert err.count("\n") == 2
    with bar("title", quiet=True) as show:
        show(Progress(5, 0.5, record), {})
    assert capsys.readouterr().err == ""


def test_trackio_writes_offline(tmp_path):
    """In a process of its own: trackio keeps threads and reads its folder when it is imported."""
    pytest.importorskip("trackio", reason="trackio is an extra")
    run = tmp_path / "run"
    words = ["train", "vae", "digits", "train.steps=6", "train.log_every=2", 'train.track=["trackio"]', "--run", run]
    quiet = {name: value for name, value in os.environ.items() if not name.startswith("TRACKIO")}
    words = [sys.executable, "-m", "morphogen", *words, "--json"]
    done = subprocess.run(words, check=True, capture_output=True, text=True, env=quiet, timeout=100)
    assert json.loads(done.stdout)["step"] == 6
    assert "Upload" not in done.stdout + done.stderr
    assert "Reserved" not in done.stderr
    with contextlib.closing(sqlite3.connect(run / "trackio" / "morphogen.db")) as kept:
        (rows,) = kept.execute("select count(*) from metrics").fetchone()
        told = " ".join(str(row) for row in kept.execute("select * from metrics"))
        settings = " ".join(str(row) for row in kept.execute("select * from configs"))
    assert rows >= 3
    assert "trackio.image" in told
    assert "seconds" in told
    assert "model.latent" in settings


def test_a_run_compresses_files_by_itself(run, tmp_path):
    """`run.compress` is the task `compress`, whose model is the run."""
    text = tmp_path / "notes.txt"
    text.write_text("seven " * 200)
    said = run.compress([text], out=str(tmp_path / "a.mgn"))
    assert (said["files"], said["coded_by_the_model"]) == (1, 0)
    assert "uncompressed_bytes" in repr(said)
    mg.decompress(str(tmp_path / "a.mgn"), out=str(tmp_path / "back"))
    assert next((tmp_path / "back").rglob("notes.txt")).read_text() == text.read_text()
    assert "compress" in dir(run)


def test_facts_read_well_and_stay_dicts(run):
    said = run.fidelity(n=4)
    assert isinstance(said, dict)
    assert json.loads(json.dumps(said)) == dict(said)
    assert repr(said).startswith("root_mean_square  ")
    assert "<table>" in said._repr_html_()
    assert "<script>" not in mg.runs(run.path.parent)._repr_html_()


def test_a_notebook_shows_a_run_with_its_samples(run):
    said = run._repr_html_()
    assert said.startswith('<img alt="samples" src="data:image/png;base64,')
    assert "<table>" in said
    assert "loss" in said
