"""Runs of strangers: whatever stands in their files is named by file and key, and shown as text and nothing else."""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from markdown_it import MarkdownIt

from morphogen import cli, disk, escape, figures, progress, report, session
from morphogen.core import build
from morphogen.data.find import open_data
from morphogen.errors import UserError
from morphogen.plan import Plan
from morphogen.run import Run
from morphogen.tasks.look import compare
from morphogen.train import Progress

NASTY = "\x1b]0;owned\x07\x1b[31mred\x9b1m\u202egnp.exe\u2066\x7f\r\n# head\n```\n<script>alert(1)</script>"
MARKED = (
    "![x](http://evil.example/a.png) [a](javascript:alert(1)) <b> | *bold* `code` $x$ www.evil.example ~~no~~ &lt; _i_"
)
HARMFUL = [
    *map(chr, range(32)),
    *map(chr, range(127, 160)),
    *"\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u2028\u2029\u061c",
]


def harmless(text: str) -> bool:
    return not set(HARMFUL) - {"\n"} & set(text)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "run"
    recipe = {
        "data": {"use": "digits"},
        "model": build.part("models", {"use": "vae", "latent": 2, "net": {"use": "mlp", "widths": [8]}}).spec,
        "train": Plan.complete({"steps": 2, "batch": 16, "compile": False}),
        "seed": 0, "device": "cpu", "precision": "float32",
    }  # fmt: skip
    session.fit(Run.create(path, recipe, open_data("digits").facts()), quiet=True)
    (path / "manifest.json").unlink()  # a stranger would make its sums right
    return path


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "runs" / "run"))


def changed(path: Path, **facts: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | facts))


def resealed(path: Path) -> None:
    """Make the seal of the weights right again, as an attacker would."""
    tensors, facts = disk.open_sealed(path / "weights.safetensors")
    disk.seal(path / "weights.safetensors", tensors, facts | {"run": Run.open(path).identity})


# Escapes ---------------------------------------------------------------------------------------------------------


def test_no_control_character_is_shown_as_it_is() -> None:
    text = "".join(HARMFUL)
    for said in (escape.shown(text), escape.markdown(text), escape.inline_code(text), escape.fenced(text)):
        assert harmless(said)
    told = escape.json_text({text: [text, 1.5, None]})
    assert harmless(told)
    assert json.loads(told) == {text: [text, 1.5, None]}  # the value is the same
    assert escape.shown("naïve 名 🙂 a_b") == "naïve 名 🙂 a_b"


@pytest.mark.parametrize("words", [["show"], ["show", "--json"], ["runs"], ["runs", "--json"], ["classify", "digits"]])
def test_a_run_with_a_hostile_name_is_told_harmlessly(
    words: list[str], run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = run.rename(tmp_path / "runs" / NASTY.replace("/", ""))
    changed(home / "data.json", name=NASTY, classes=[NASTY + str(k) for k in range(10)], licence=NASTY)
    with open(home / "log.jsonl", "a") as file:
        file.write(json.dumps({"step": 2, "event": NASTY, NASTY: 1.0}) + "\n")
    resealed(home)
    cli.main([words[0], str(home.parent if words[0] == "runs" else home), *words[1:]])
    said = capsys.readouterr()
    assert harmless(said.out)
    assert harmless(said.err)
    assert "unexpected" not in said.err
    assert "owned" in said.out or "\\x7f" in said.err


def test_complaints_and_progress_are_told_harmlessly(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = run.rename(tmp_path / "runs" / NASTY.replace("/", ""))
    Run.open(home).complain(f"{home} {NASTY}")
    (home / "state" / "step-000000009.safetensors").write_bytes(b"damaged")
    Run.open(home).load_state()
    with progress.bar(home.name, quiet=False) as show:
        show(Progress(1, 0.5, {f"loss/{NASTY}": 1.0, "images/s": 2.0}), {})
    assert cli.main(["show", str(home / NASTY)]) == 2
    err = capsys.readouterr().err
    assert harmless(err)
    assert "owned" in err

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    for variable, value in (("TERM", "dumb"), ("NO_COLOR", "1"), ("COLUMNS", "400")):
        monkeypatch.setenv(variable, value)
    for title, record in (("\x1b]0;o\x07\u202e", {f"loss/{NASTY}": 1.0, "images/s": 2.0}), ("[red][link=x]y", {})):
        with progress.bar(title, quiet=False) as show:
            show(Progress(1, 0.5, record), {})
    said = screen.getvalue()
    assert "\x1b]0" not in said
    assert not {"\x07", "\x9b", "\u202e", "\u2066"} & set(said)
    assert "[red][link=x]y" in said  # markup is text


def test_samples_of_strange_words_and_cells_are_shown_harmlessly() -> None:
    from morphogen import files
    from morphogen.core.space import Tokens
    from morphogen.terminal import aligned

    assert harmless(files.show(torch.tensor([[0, 1]]), Tokens(2, 2, (NASTY, "b"))))
    assert harmless(aligned(["a", NASTY], [["\u202e", "x"]]))


# Markup ----------------------------------------------------------------------------------------------------------


def kinds(text: str) -> set[str]:
    """Every kind of token that a Markdown reader makes of a text, with HTML, tables and links found on."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    found = set()
    for token in reader.parse(text):
        found |= {token.type, *(child.type for child in token.children or [])}
    return found


@pytest.mark.parametrize(
    "text", [NASTY, MARKED, "a\\", "```", "&#60;b&#62;", "<!-- ", "* x", "![", "_a_ __b__", "<http://a>"]
)
def test_text_of_strangers_is_text_in_markdown(text: str) -> None:
    plain = {"paragraph_open", "paragraph_close", "inline", "text", "text_special"}
    assert kinds(f"x {escape.markdown(text)}") <= plain, escape.markdown(text)
    assert kinds(f"x {escape.inline_code(text)}") <= plain | {"code_inline"}
    assert kinds(escape.fenced(f"a\n{text}\n````\n~~~")) == {"fence"}
    cells = f"| | |\n|---|---|\n| a | {escape.markdown(text)} |\n"
    assert [t.type for t in MarkdownIt("commonmark").enable("table").parse(cells)].count("td_open") == 2


def test_a_report_holds_no_markup_of_strangers(run: Path, tmp_path: Path) -> None:
    home = run.rename(tmp_path / "runs" / (NASTY + MARKED).replace("/", ""))
    Run.open(home).append({"step": 1, "event": "plain"})
    before = kinds(report.write(Run.open(home)).read_text())
    nasty = NASTY + MARKED
    changed(
        home / "data.json", name=nasty, classes=[nasty, "b"], licence=nasty, protocol=nasty, fingerprint="`|" + nasty
    )
    with open(home / "log.jsonl", "a") as file:
        file.write(json.dumps({"step": 2, "event": nasty, f"{nasty}": 1.0}) + "\n")
    score = {"metric": nasty, nasty: nasty, "n": 3, "protocol": {"command": f"x\n````\n{nasty}", nasty: nasty}}
    (home / "scores.json").write_text(json.dumps([score]))
    (home / "samples" / "step-9](http:x).png").write_bytes(b"")
    text = report.write(Run.open(home)).read_text()
    assert harmless(text)
    assert kinds(text) <= before | {"text_special"}, kinds(text) - before
    rendered = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(text)
    assert "<script" not in rendered
    assert 'evil.example/a.png"' not in rendered
    assert rendered.count("<h1>") == 1
    assert {line.split("</")[0] for line in rendered.split("<h2>")[1:]} == {
        "Data", "Recipe", "Training", "Scores", "Samples", "Use"
    }  # fmt: skip
    assert rendered.count("<h3>") == 1


def test_a_name_with_dollars_draws_curves(run: Path, tmp_path: Path) -> None:
    home = run.rename(tmp_path / "runs" / "a$\\frac{$b$x^$")
    assert figures.curves(Run.open(home)) == home / "curves.png"


# Hostile JSON ----------------------------------------------------------------------------------------------------

VALUES = [
    None,
    True,
    -1,
    10**400,
    1e300,
    float("nan"),
    "x",
    [],
    ["x"],
    [[]],
    {},
    {"x": "y"},
    {"train": "x"},
    {"train": -1},
]
KEYS = ["name", "space", "classes", "fingerprint", "protocol", "licence", "sizes", "skipped"]


def told(words: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    code = cli.main(words)
    said = capsys.readouterr()
    assert "unexpected" not in said.err + said.out, said
    return code, said.out, said.err


@pytest.mark.parametrize("key", KEYS)
def test_facts_of_another_kind_are_named_by_file_and_key(
    key: str, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = (run / "data.json").read_text()
    fine = json.loads(good)[key]
    for value in VALUES:
        (run / "data.json").write_text(good)
        changed(run / "data.json", **{key: value})
        code, _, err = told(["show", str(run)], capsys)
        if code == 2:
            assert "data.json" in err
            assert key in err
        else:
            assert type(value) is type(fine), (key, value)
        with contextlib.suppress(UserError):
            report.write(Run.open(run))
        code, out, _ = told(["runs", str(run.parent)], capsys)
        assert code == 0
        assert len(out.splitlines()) == 2


LINES = [
    '{"step": 1e999, "fraction": 0.5}',
    '{"step": 1, "fraction": "x"}',
    '{"step": 1, "fraction": NaN}',
    '{"step": 1, "fraction": 0.5, "loss/model": ' + "9" * 400 + "}",
    '{"step": ' + "9" * 400 + "}",
    '{"step": -1, "fraction": 0.1}',
    '{"step": true, "time": "x"}',
    '{"step": 1, "fraction": 0.5, "valid/loss": {"a": 1}, "event": ["x"]}',
]


@pytest.mark.parametrize("line", LINES)
def test_lines_of_a_log_of_another_kind_break_nothing(line: str, run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open(run / "log.jsonl", "a") as file:
        file.write(line + "\n")
    assert told(["show", str(run)], capsys)[0] == 0
    assert told(["runs", str(run.parent)], capsys)[0] == 0
    report.write(Run.open(run))
    figures.curves(Run.open(run))


@pytest.mark.parametrize(("content", "word"), [
    ("7", "not a list"), ('{"a": 7}', "record 0 is no score"), ("{", "cannot be read"),
    ("[7]", "record 0 is no score"), ("[{}]", "record 0 is no score"),
    ('[{"metric": "m", "protocol": 7}]', "protocol of record 0"), ('[{"metric": 7}]', "record 0 is no score"),
    ("[" * 100_000, "cannot be read"), ("[" + "9" * 5000 + "]", "cannot be read"),
])  # fmt: skip
def test_scores_of_another_kind_are_named(content: str, word: str, run: Path) -> None:
    (run / "scores.json").write_text(content)
    with pytest.raises(UserError, match=word) as error:
        report.write(Run.open(run))
    assert str(run / "scores.json") in str(error.value)
    with pytest.raises(UserError, match=word):
        compare([str(run), str(run)])
    assert (run / "scores.json").read_text() == content


def test_large_numbers_among_scores_are_written(run: Path) -> None:
    score = {"metric": "m", "n": 10**400, "interval": [1e300, -(10**400)], "protocol": {"x": 10**400}}
    (run / "scores.json").write_text(json.dumps([score]))
    report.write(Run.open(run))


RECIPES: list[Callable[[str], str]] = [
    lambda text: text.replace("model = {", "model = 7\nx = {"),
    lambda text: "\n".join("model = 7" if line.startswith("model =") else line for line in text.splitlines()),
    lambda text: "\n".join("train = []" if line.startswith("train =") else line for line in text.splitlines()),
    lambda text: "\n".join("data = 'x'" if line.startswith("data =") else line for line in text.splitlines()),
    lambda text: "\n".join("device = 1" if line.startswith("device =") else line for line in text.splitlines()),
    lambda text: "\n".join("model = { use = 7 }" if line.startswith("model =") else line for line in text.splitlines()),
]


@pytest.mark.parametrize("harm", range(len(RECIPES)))
def test_recipes_of_another_kind_are_named_and_break_no_list(
    harm: int, run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good = shutil.copytree(run, run.parent / "good")
    (run / "recipe.toml").write_text(RECIPES[harm]((run / "recipe.toml").read_text()))
    code, _, err = told(["show", str(run)], capsys)
    assert code == 2
    assert "recipe.toml" in err
    code, out, _ = told(["runs", str(run.parent)], capsys)
    assert code == 0
    assert "unreadable" in out
    assert any(str(good) in line and "finished" in line for line in out.splitlines())


def test_one_broken_run_hides_no_other(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (run.parent / "dangling").mkdir()
    (run.parent / "dangling" / "recipe.toml").symlink_to("nowhere")
    (run.parent / "folder" / "recipe.toml").mkdir(parents=True)
    code, out, _ = told(["runs", str(run.parent)], capsys)
    assert code == 0
    assert any(str(run) in line and "finished" in line for line in out.splitlines())
