"""Completion: what a real bash (and zsh and fish, where they are) offers for words that are begun."""

import os
import pty
import select
import shutil
import subprocess
import time

import pytest

from morphogen import recipe
from morphogen.completion import SHELLS, script
from morphogen.shorthand import TRAINING
from morphogen.tasks.task import tasks


@pytest.fixture(scope="module")
def bash(tmp_path_factory):
    """What bash would offer for a line whose last word is begun, in a folder with two runs."""
    home = tmp_path_factory.mktemp("completion")
    (home / "script").write_text(script("bash"))
    for name in ("vae-digits", "my-gan"):
        (home / "runs" / name).mkdir(parents=True)
        (home / "runs" / name / "recipe.toml").write_text("")
    (home / "runs" / "none").mkdir()

    def offered(*words):
        lines = [
            ". ./script",
            'COMP_WORDS=("$@")',
            "COMP_CWORD=$(($# - 1))",
            "_morphogen",
            "printf '%s\\n' \"${COMPREPLY[@]}\"",
        ]
        done = subprocess.run(
            ["bash", "--norc", "-c", "\n".join(lines), "bash", "morphogen", *words],
            capture_output=True, text=True, cwd=home, check=True, timeout=30,
        )  # fmt: skip
        assert done.stderr == ""
        return done.stdout.split()

    return offered


def test_commands(bash):
    assert bash("samp") == ["sample"]
    assert set(bash("")) >= set(tasks())
    assert bash("help", "dec") == ["decode", "decompress"]


def test_options_and_what_they_choose_from(bash):
    assert bash("sample", "last", "--temp") == ["--temperature"]
    assert set(bash("classify", "last", "--by", "")) == {"model", "probe", "neighbours", "clusters"}
    assert bash("score", "last", "--split", "te") == ["test"]
    assert bash("sample", "last", "-n", "") == []  # a number: nobody can know which
    for name, task in tasks().items():
        flags = bash(name, "-")
        assert set(flags) >= {f"--{a.name.replace('_', '-')}" for a in task.arguments if a.option and len(a.name) > 1}


def test_recipes_and_data(bash):
    assert set(bash("train", "vae")) == {name for name in recipe.names() if name.startswith("vae")}
    assert bash("train", "vae", "dig") == ["digits"]
    assert bash("recipes", "beta") == ["beta-vae"]
    assert "mnist" in bash("score", "last", "")


def test_settings_are_those_of_the_recipe(bash):
    assert bash("train", "vae", "digits", "ste") == ["steps="]
    assert "model.terms.1.weight=" in bash("train", "vae", "digits", "model.te")
    assert bash("train", "ladder", "mnist", "model.ru") == ["model.rungs="]
    assert bash("train", "vae", "mnist", "model.ru") == []
    assert set(bash("train", "vae", "digits", "")) >= {f"{name}=" for name in TRAINING}
    assert "steps=" in bash("train", "vae", "digits", "lr", "=", "3", "ste")  # bash breaks words at =
    assert bash("train", "vae", "digits", "lr", "=", "") == []


def test_runs(bash):
    assert set(bash("sample", "")) == {"last", "vae-digits", "my-gan", "runs/vae-digits", "runs/my-gan"}
    assert bash("compare", "last", "my") == ["my-gan"]
    assert bash("sample", "runs/v") == ["runs/vae-digits"]
    assert bash("sample", "--seed", "3", "la") == ["last"]


def test_a_tab_in_a_real_terminal(tmp_path):
    """An interactive bash, a line that is begun, and the tab key."""
    (tmp_path / "script").write_text(script("bash"))
    pid, terminal = pty.fork()
    if pid == 0:
        os.chdir(tmp_path)
        os.environ |= {"PS1": "$ ", "TERM": "dumb", "HISTFILE": ""}
        os.execvp("bash", ["bash", "--norc", "--noprofile", "-i"])
    try:
        os.write(terminal, b'. ./script; echo re""ady\n')
        _until(terminal, b"ready\r\n")
        os.write(terminal, b"morphogen recons\t")
        assert b"reconstruct " in _until(terminal, b"reconstruct ")
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def _until(terminal, wanted, seconds=30):
    said, end = b"", time.monotonic() + seconds
    while wanted not in said and time.monotonic() < end:
        if select.select([terminal], [], [], 0.2)[0]:
            said += os.read(terminal, 4096)
    return said


@pytest.mark.parametrize("shell", SHELLS)
def test_every_shell_can_read_its_script(shell, tmp_path):
    made = script(shell)
    assert all(name in made for name in tasks())
    if shutil.which(shell):
        path = tmp_path / "script"
        path.write_text(made)
        assert subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=60).stderr == ""


def test_the_command_prints_the_script(capsys):
    from morphogen import cli

    assert cli.main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == script("bash") + "\n"
