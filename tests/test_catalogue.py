"""The catalogue of runs: by name and as `last`, listed, compared, pruned; without torch where nothing is computed."""

import json
import os
import subprocess
import sys

import pytest

import morphogen as mg
from morphogen.catalogue import RunFolder, find_runs, locate, size_of
from morphogen.errors import UserError
from morphogen.history import nested, state_of
from morphogen.run import Run


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Two runs below runs/, of other recipes, seeds and settings."""
    home = tmp_path_factory.mktemp("catalogue")
    here = os.getcwd()
    os.chdir(home)
    try:
        for recipe, seed, when in (("vae", 2, 1_000_000_000), ("beta-vae", 3, 1_000_000_900)):
            run = mg.train(recipe, "digits", steps=4, seed=seed, batch=16, limit=64, latent=2, log_every=2,
                           model__net__widths=[8], device="cpu", quiet=True).path  # fmt: skip
            for name in ("log.jsonl", "recipe.toml"):
                os.utime(run / name, (when, when))
    finally:
        os.chdir(here)
    return home


def test_a_run_has_three_names(home, monkeypatch):
    monkeypatch.chdir(home)
    assert str(locate("vae-digits")) == "runs/vae-digits"
    assert str(locate("runs/vae-digits")) == "runs/vae-digits"
    assert str(locate("last")) == "runs/beta-vae-digits"
    assert mg.open("last").path.name == "beta-vae-digits"
    assert locate("nowhere").name == "nowhere"


def test_last_is_the_run_that_was_trained_last(home, monkeypatch):
    monkeypatch.chdir(home)
    log = home / "runs" / "vae-digits" / "log.jsonl"
    before = log.stat().st_mtime
    os.utime(log, (1_000_009_999, 1_000_009_999))
    assert str(locate("last")) == "runs/vae-digits"
    os.utime(log, (before, before))


def test_every_verb_takes_a_name(do):
    assert do("show", "vae-digits")[0] == 0
    assert do("sample", "last", "-n", "2")[0] == 0
    code, _, err = do("show", "vae-digit")
    assert code == 2
    assert "did you mean 'runs/vae-digits'?" in err
    assert "did you mean 'runs/vae-digits'?" in do("sample", "vae-digit")[2]
    assert "did you mean 'last'?" in do("sample", "lats")[2]


def test_no_last_run(do, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="no last run"):
        locate("last")


def test_runs_can_be_told_apart(do):
    code, out, _ = do("runs", "--json")
    assert code == 0
    first, second = json.loads(out)["runs"]
    assert (first["recipe"], first["seed"], second["recipe"], second["seed"]) == ("beta-vae", 3, "vae", 2)
    assert first["data"] == "digits"
    assert "latent=2" in first["changed"]
    assert first["bytes"] > 10_000
    assert first["seconds"] >= 0
    assert first["loss"] > 0
    assert first["date"][:2] == "20"
    by_name = json.loads(do("runs", "--by", "name", "--json")[1])["runs"]
    assert [row["recipe"] for row in by_name] == ["beta-vae", "vae"]
    losses = [row["loss"] for row in json.loads(do("runs", "--by", "loss", "--json")[1])["runs"]]
    assert losses == sorted(losses)
    _, out, _ = do("runs")
    for word in ("recipe", "seed", "took", "size", "changed", "beta-vae", "kB"):
        assert word in out


def test_compare_tells_what_differs_and_nothing_else(do):
    code, out, _ = do("compare", "vae-digits", "beta-vae-digits", "--json")
    assert code == 0
    said = json.loads(out)
    assert said["settings"]["seed"] == {"runs/vae-digits": 2, "runs/beta-vae-digits": 3}
    assert "model.latent" not in said["settings"]
    assert any(name.startswith("model.terms") for name in said["settings"])
    assert set(said["scores"]["valid/loss"]) == {"runs/vae-digits", "runs/beta-vae-digits"}
    assert "settings that differ" in do("compare", "vae-digits", "last")[1]
    assert do("compare", "vae-digits")[0] == 2


def test_prune_removes_states_and_never_weights(do, home):
    run = home / "runs" / "vae-digits"
    before, weights = size_of(run), (run / "weights.safetensors").read_bytes()
    code, out, _ = do("prune", "vae-digits", "--json")  # nobody can be asked here
    assert code == 0
    said = json.loads(out)
    assert said["removed"] is False
    assert size_of(run) == before
    code, out, _ = do("prune", "vae-digits", "--yes", "--json")
    said = json.loads(out)
    assert (code, said["removed"]) == (0, True)
    assert said["bytes"] > 0
    assert abs(before - size_of(run) - said["bytes"]) < 2000  # the manifest is shorter by the states' lines
    assert (run / "weights.safetensors").read_bytes() == weights
    assert not list((run / "state").iterdir())
    assert len(list((run / "samples").iterdir())) == 1
    assert do("sample", "vae-digits", "-n", "2")[0] == 0
    manifest = json.loads((run / "manifest.json").read_text())
    assert all((run / name).is_file() for name in manifest)


def test_a_run_that_is_not_finished_keeps_what_resuming_needs(do, home, tmp_path):
    import shutil

    copy = tmp_path / "stopped"
    shutil.copytree(home / "runs" / "beta-vae-digits", copy)
    lines = [json.loads(line) for line in (copy / "log.jsonl").read_text().splitlines()]
    (copy / "log.jsonl").write_text(
        "".join(json.dumps(r) + "\n" for r in lines if r.get("fraction", 0) < 1 and "finished" not in r)
    )
    newest = sorted((copy / "state").glob("step-*"))[-1]
    assert do("prune", copy, "--yes")[0] == 0
    assert list((copy / "state").glob("step-*")) == [newest]
    assert Run.open(copy).load_state() is not None


def test_a_run_being_trained_is_not_pruned(do, home):
    run = Run.open(home / "runs" / "beta-vae-digits")
    states = run.states()
    with run.locked():
        code, _, err = do("prune", run.path, "--yes")
    assert code == 2
    assert "being trained" in err
    assert run.states() == states


def test_json_of_a_run_holds_values_and_not_pictures_of_them(do):
    said = json.loads(do("show", "last", "--json")[1])
    assert said["model"]["latent"] == 2
    assert said["train"]["steps"] == 4
    assert all(isinstance(v, float) for v in said["course"]["model"])
    assert said["state"] == {"step": 4, "fraction": 1.0, "finished": True}
    assert isinstance(said["latest"]["valid"]["loss"], float)
    assert not any("▁" in str(v) for v in said.values())


def test_lists_of_runs_load_no_torch(home):
    words = "import sys, morphogen.cli as c; c.main(sys.argv[1:]); print('torch' in sys.modules)"
    for line in (["runs"], ["show", "last"], ["compare", "last", "vae-digits"], ["recipes"], ["prune", "last"]):
        done = subprocess.run(
            [sys.executable, "-c", words, *line], capture_output=True, text=True, cwd=home, timeout=60
        )
        assert done.stdout.strip().endswith("False"), (line, done.stdout, done.stderr)


def test_damaged_runs_are_listed_as_such(home, tmp_path):
    import shutil

    shutil.copytree(home / "runs" / "beta-vae-digits", tmp_path / "bad")
    (tmp_path / "bad" / "data.json").write_text("[1]")
    assert find_runs(tmp_path) == [tmp_path / "bad"]
    with pytest.raises(UserError, match="holds no table"):
        RunFolder.open(tmp_path / "bad")


def test_a_log_that_holds_odd_things_is_still_read():
    assert state_of([{"event": "x"}]) == {"step": 0, "fraction": 0.0, "finished": False}
    assert nested({"valid": 1, "valid/loss": 2}) == {"valid": {"loss": 2}}


def test_the_closing_summary_names_the_weights_that_were_kept(do, monkeypatch):
    """Validations that get worse from the second on: early stopping keeps those weights, and says so."""
    from morphogen import session

    losses = iter([5.0, 4.0, 6.0, 7.0, 8.0, 9.0])
    monkeypatch.setattr(session, "review", lambda *a, **k: {"loss": next(losses)})
    words = ["train", "vae", "digits", "steps=40", "patience=2", "validate_every=2", "batch=16", "limit=64", "latent=2",
             "model.net.widths=[8]", "device=cpu", "train.compile=false", "--quiet", "--run", "stopped"]  # fmt: skip
    code, out, err = do(*words)
    assert code == 0, err
    assert "ended            at step 8: early stopping, 2 validations without improvement" in out
    assert "weights          of step 4 (best validation, loss 4.0000)".replace("loss", "validation loss") in out
    assert "last validation  loss 7.0000 at step 8, not kept" in out
    assert "train.patience=3" not in err
    said = json.loads(do("resume", "stopped", "--json")[1])
    assert said["weights"] == {"step": 4, "loss": 4.0, "choice": "best validation"}
    assert json.loads(do("show", "stopped", "--json")[1])["state"]["finished"] is True


def test_a_test_of_overfitting_ends_with_a_verdict(do):
    words = ["train", "vae", "digits", "overfit=8", "steps=3", "log_every=1", "batch=8", "latent=2", "device=cpu",
             "model.net.widths=[8]", "--quiet", "--run", "few"]  # fmt: skip
    code, out, _ = do(*words)
    assert code == 0
    assert "did not learn the 8 examples" in out
