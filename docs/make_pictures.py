"""Run the commands that the guide shows, and put their outputs and pictures in place: `make pictures [PAGES=...]`.

Two markers, each on a line of its own in README.md or a page of docs/guide:

    <!-- output: morphogen score runs/guide-mnist -->            the fenced block below becomes what the command prints
    <!-- picture: morphogen sample RUN -o docs/guide/pictures/samples.png | Digits that nobody wrote -->
                                                                 the image below becomes the one the command makes
                                                                 (COMMAND => FILE where it makes several)

A run of the guide that is not there yet is trained first, as RUNS says. Outputs are as printed, but for the paths of
this machine and lines beyond the fortieth.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PICTURES = "docs/guide/pictures"
MORPHOGEN = Path(sys.executable).with_name("morphogen")
LINES = 40

RUNS = {
    "runs/guide-digits": "vae digits train.minutes=0.5 train.patience=3",
    "runs/guide-mnist": "mnist mnist train.minutes=10",
    "runs/guide-clothes": "vae fashion-mnist model.likelihood=normal-shared train.minutes=5 model.net=resnet "
    "model.net.width=16 model.net.limit=32 model.net.stages=2 model.decoder=mlp",
    "runs/guide-plane": "classic-bounded-bernoulli mnist",
    "runs/guide-gan": "mnist-gan mnist train.minutes=5",
    "runs/guide-conditional": "conditional-vae digits train.steps=1500",
    "runs/guide-vae-gan": "vae-gan mnist train.steps=3600",
    "runs/guide-conditional-gan": "conditional-gan mnist train.steps=2400",
    "runs/guide-infogan": "infogan mnist train.steps=2200",
    "runs/guide-soft": "soft-intro-vae mnist train.minutes=10",
    "runs/guide-wgan-gp": "wgan-gp mnist train.steps=1800",
    "runs/guide-adversarial-autoencoder": "adversarial-autoencoder mnist train.steps=3000",
    "runs/tables-guide": "tabular examples/customers.csv",
    "runs/guide-told": "conditional-vae mnist data.binary=dynamic model.latent=8 train.minutes=2",
    "runs/guide-few": "few-labels mnist",
    "runs/restore-mnist": "restorer mnist train.minutes=3.5",
    "runs/ladder-mnist": "ladder mnist",
    "runs/guide-few-none": "sprites-gan data.limit=500 model.augment=none train.steps=7500",
    "runs/guide-few-ada": "sprites-gan data.limit=500 model.augment=ada train.steps=7500",
}

MARKER = re.compile(r"^<!-- (output|picture): (.*?)(?: \| (.*?))? -->$")
IMAGE = re.compile(r"^!\[.*\]\(.*\)$")


def pages() -> list[Path]:
    """The pages named on the command line, or all that may hold markers."""
    named = [Path(word).resolve() for word in sys.argv[1:]]
    return named or [ROOT / "README.md", *sorted((ROOT / "docs/guide").glob("*.md"))]


def plain(text: str) -> str:
    """What a command printed, without escape codes and this machine's paths."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace(f"{ROOT}/", "").replace(str(ROOT), ".")
    data = os.environ.get("MORPHOGEN_DATA")
    text = text.replace(data, "$MORPHOGEN_DATA") if data else text
    text = text.replace(str(Path.home()), "~")
    lines = [line.rpartition("\r")[2].rstrip() for line in text.strip("\n").split("\n")]
    return "\n".join(lines[:LINES] + (["..."] if len(lines) > LINES else []))


@cache
def train(run: str) -> None:
    """Make a run of the guide, or finish it; resuming a finished one does nothing."""
    words = ["resume", run] if (ROOT / run / "recipe.toml").is_file() else ["train", *RUNS[run].split(), "--run", run]
    print("  training:", *words, flush=True)
    subprocess.run([MORPHOGEN, *words], cwd=ROOT, check=True)


@cache
def printed(command: str) -> str:
    """What a command prints; it must be one of morphogen's, or `cp`."""
    words = shlex.split(command)
    for run in RUNS:
        if any(word == run or word.startswith(f"{run}/") for word in words):
            train(run)
    print(" ", command, flush=True)
    if words[0] == "cp":
        shutil.copy(ROOT / words[1], ROOT / words[2])
        return ""
    if words[0] != "morphogen":
        raise SystemExit(f"{command!r}: only morphogen and cp may stand in a marker")
    force = ["--force"] if any(word.startswith(PICTURES) for word in words) else []
    environment = os.environ | {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "100"}
    done = subprocess.run(
        [MORPHOGEN, *words[1:], *force],
        cwd=ROOT,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise SystemExit(f"{command!r} failed:\n{done.stdout}")
    return plain(done.stdout)


def after(lines: list[str], start: int) -> int:
    """Where the block that a marker owns ends: the fence or the image below it, if there is one."""
    if start < len(lines) and lines[start].startswith("```"):
        return lines.index("```", start + 1) + 1
    return start + 2 if start + 1 < len(lines) and not lines[start] and IMAGE.match(lines[start + 1]) else start


def made(page: Path, kind: str, command: str, words: str) -> list[str]:
    """The lines that belong below a marker."""
    command, _, other = command.partition(" => ")
    said = printed(command)
    if kind == "output":
        return ["```text", f"$ {command}", *said.split("\n"), "```"]
    picture = other or next(word for word in shlex.split(command) if word.startswith(PICTURES))
    return ["", f"![{words}]({os.path.relpath(ROOT / picture, page.parent)})"]  # without the blank line it is no image


def fill(page: Path) -> None:
    """Everything between the markers of one page made anew."""
    lines, filled, at, fenced = page.read_text(encoding="utf-8").split("\n"), list[str](), 0, False
    while at < len(lines):
        line, at = lines[at], at + 1
        filled.append(line)
        fenced ^= line.startswith("```")
        marker = None if fenced else MARKER.match(line)
        if marker:
            filled += made(page, marker[1], marker[2], marker[3] or "")
            at = after(lines, at)
    page.write_text("\n".join(filled), encoding="utf-8")


def main() -> None:
    """Fill every page."""
    (ROOT / PICTURES).mkdir(exist_ok=True)
    for page in pages():
        print(page.relative_to(ROOT), flush=True)
        fill(page)


if __name__ == "__main__":
    main()
