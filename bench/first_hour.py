"""The first hour with one's own pictures: ten small folders, against a plain VAE (defaults were tried on two of them).

    python bench/first_hour.py                                       ten sets x 30 s, 3 and 10 min: nine hours
    python bench/first_hour.py --sets sprites faces --seconds 30 180    a part of it
    python bench/first_hour.py --who plain vae model.latent=16          another recipe, or other leaves

The budget is processor seconds of the training process, for everybody, on one thread: a machine that is busy with other
things gives the same figures. Printed is how far (root mean square, black 0 to white 1) reconstructions of 40 test
pictures are from them; sheets of reconstructions and samples are left in the folder, to be looked at.
"""

from __future__ import annotations

import argparse
import importlib
import json
import subprocess
import sys
import time
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from first_hour_sets import SETS, folder

WHO = ("plain", "vae", "conv-vae", "vae-gan")
SHOWN = 16


def once(who: str, name: str, seconds: float, home: Path, leaves: Sequence[str]) -> dict[str, Any]:
    """One training of `seconds`, in this process: what it reached, and its sheets."""
    import torch

    torch.set_num_threads(1)
    place = home / "runs" / f"{name}-{who}-{seconds:g}"
    place.mkdir(parents=True, exist_ok=True)
    data = folder(name, home)
    trained = plain if who == "plain" else ours
    steps, test, rebuilt, samples = trained(who, data, seconds, place, leaves)
    sheet = torch.cat([test[:SHOWN], rebuilt[:SHOWN], samples[: 2 * SHOWN]])
    picture(sheet, place / "sheet.png")
    rms = float((rebuilt.clamp(0, 1) - test).square().mean().sqrt())
    return {
        "who": who,
        "set": name,
        "seconds": seconds,
        "steps": steps,
        "rms": round(rms, 4),
        "cpu": time.process_time(),
    }


def picture(x: Any, path: Path) -> None:
    """Rows of sixteen: test pictures, their reconstructions, two rows of samples."""
    from PIL import Image

    x = x.clamp(0, 1).mul(255).round().byte().permute(0, 2, 3, 1).numpy()
    rows = [list(x[at : at + SHOWN]) for at in range(0, len(x), SHOWN)]
    import numpy as np

    page = np.concatenate([np.concatenate(row, 1) for row in rows])
    Image.fromarray(page[..., 0] if page.shape[-1] == 1 else page).save(path)


def stored(data: Path, part: str) -> Any:
    """Pictures of a folder, (n, channels, height, width) in [0, 1]."""
    import numpy as np
    import torch
    from PIL import Image

    pictures = [np.asarray(Image.open(path)) for path in sorted((data / part).glob("*.png"))]
    x = torch.from_numpy(np.stack(pictures)).float() / 255
    return x[:, None] if x.dim() == 3 else x.permute(0, 3, 1, 2).contiguous()


def plain(who: str, data: Path, seconds: float, place: Path, leaves: Sequence[str]) -> tuple[int, Any, Any, Any]:
    """The rival, in float32."""
    import torch

    from first_hour_plain import Plain

    torch.manual_seed(0)
    x, test = stored(data, "train"), stored(data, "test")
    model = Plain(*x.shape[1:])
    adam = torch.optim.Adam(model.parameters(), 1e-3)
    began, steps = time.process_time(), 0
    while time.process_time() - began < seconds:
        for rows in torch.randperm(len(x)).split(64):
            adam.zero_grad()
            model.loss(x[rows]).backward()
            adam.step()
            steps += 1
            if time.process_time() - began >= seconds:
                break
    with torch.no_grad():
        return steps, test, model.reconstruct(test), model.sample(2 * SHOWN)


def ours(who: str, data: Path, seconds: float, place: Path, leaves: Sequence[str]) -> tuple[int, Any, Any, Any]:
    """A recipe as it is but for its length; its minutes are counted by the processor's clock."""
    import shutil

    import torch

    import morphogen as mg
    from morphogen.tasks.train import train as begin

    loop: Any = importlib.import_module("morphogen.train")
    loop.time = types.SimpleNamespace(perf_counter=time.process_time)
    shutil.rmtree(place / "run", ignore_errors=True)
    facts = begin(who, str(data), [f"train.minutes={seconds / 60}", *leaves], run=place / "run", quiet=True)
    opened, test = mg.open(place / "run"), stored(data, "test")
    model = opened.run.model()
    with torch.inference_mode():
        rebuilt = model.decode(model.encode(test)).float()
        samples = model.sample(2 * SHOWN).float()
    return int(facts["step"]), test, rebuilt, samples


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", choices=SETS, default=list(SETS))
    parser.add_argument("--seconds", nargs="+", type=float, default=[30.0, 180.0, 600.0])
    parser.add_argument("--who", nargs="+", default=list(WHO), help="plain, or recipes")
    parser.add_argument("--home", type=Path, default=Path(".bench/first-hour"))
    parser.add_argument("--once", action="store_true", help="in this process, as JSON")
    parser.add_argument("leaves", nargs="*", default=[])
    ask = parser.parse_args(words)
    if ask.once:
        print(json.dumps(once(ask.who[0], ask.sets[0], ask.seconds[0], ask.home, ask.leaves)))
        return
    print(f"| set | seconds | {' | '.join(ask.who)} |\n| --- | ---: |{' ---: |' * len(ask.who)}", flush=True)
    for name in ask.sets:
        for seconds in ask.seconds:
            cells = [cell(who, name, seconds, ask) for who in ask.who]
            print(f"| {name} | {seconds:g} | {' | '.join(cells)} |", flush=True)


def cell(who: str, name: str, seconds: float, ask: argparse.Namespace) -> str:
    """RMS and steps of one training, in a process of its own."""
    words = [sys.executable, __file__, "--once", "--sets", name, "--seconds", str(seconds), "--home", str(ask.home)]
    own = [] if who == "plain" else ["--", *ask.leaves]
    done = subprocess.run([*words, "--who", who, *own], capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:60]
    said = json.loads(done.stdout.strip().splitlines()[-1])
    return f"{said['rms']:.4f} ({said['steps']:,})"


if __name__ == "__main__":
    main()
