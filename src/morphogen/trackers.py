"""Trackers beside our own log: tensorboard and trackio, both on this machine alone and both optional.

A recipe asks for them: train.track = ["tensorboard"]. They take the numbers of the log,
the sample grids and the settings. Nothing is sent anywhere, and no account is needed.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from morphogen.comparing import flat
from morphogen.errors import UserError, did_you_mean
from morphogen.recipe import to_toml
from morphogen.run import Run
from morphogen.run_folder import subfolder

__all__ = ["Tracker", "open_trackers"]


class Tracker(Protocol):
    """Takes what the log takes."""

    def write(self, record: Mapping[str, Any]) -> None: ...

    def close(self) -> None: ...


def open_trackers(names: Sequence[str], run: Run) -> list[Tracker]:
    """The trackers of these names, going on where the run stands."""
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"there is no tracker {name!r}; {did_you_mean(name, TRACKERS)}")
    return [TRACKERS[name](run) for name in names]


def _numbers(record: Mapping[str, Any]) -> dict[str, float]:
    """What can be drawn: every number but the step itself. `time` is a word of the trackers' own.

    >>> _numbers({"step": 4, "time": 1, "loss/model": 2.0})
    {'seconds': 1.0, 'loss/model': 2.0}
    """
    numbers = {k: float(v) for k, v in record.items() if isinstance(v, (int, float)) and k not in ("step", "fraction")}
    return {("seconds" if name == "time" else name): value for name, value in numbers.items()}


def _settings(run: Run) -> dict[str, str | float | bool]:
    """The recipe as a flat table, of values that a tracker can show."""
    plain = {name: value for name, value in flat(run.recipe).items() if value is not None}
    return {name: value if isinstance(value, (str, int, float, bool)) else str(value) for name, value in plain.items()}


class Album:
    """The sample grids of a run, each of them told of once."""

    def __init__(self, run: Run) -> None:
        self.folder = run.path / "samples"
        self.told = set(self.folder.glob("step-*.png"))

    def new(self) -> Iterator[tuple[int, Path]]:
        """The step and the file of each grid that is new."""
        for path in sorted(set(self.folder.glob("step-*.png")) - self.told):
            self.told.add(path)
            yield int(path.stem.removeprefix("step-")), path


def _grid(path: Path) -> Any:
    """A sample grid as bytes, height x width x 3."""
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def _missing(name: str) -> UserError:
    return UserError(f'train.track asks for {name}, which is not installed; pip install "morphogen[track]"')


def _own_folder(run: Run, name: str) -> Path:
    """A folder of the run without links: what the packages write there would follow them."""
    folder = subfolder(run.path, name)
    for path in folder.rglob("*"):
        if path.is_symlink():
            raise UserError(f"{path} is a link, and a run writes only inside its own folder; delete it, then try again")
    return folder


class Tensorboard:
    """Scalars, samples and settings in RUN/tensorboard: look at them with `tensorboard --logdir runs`."""

    def __init__(self, run: Run) -> None:
        # purge_step: what an earlier sitting wrote after the state that we resume from is void
        last = max((r.get("step", 0) for r in run.log()), default=0)
        try:
            from torch.utils.tensorboard import SummaryWriter
            from torch.utils.tensorboard.summary import hparams
        except ImportError:
            raise _missing("tensorboard") from None
        writer: Any = SummaryWriter(str(_own_folder(run, "tensorboard")), purge_step=last + 1 if last else None)
        self.writer = writer
        self.album = Album(run)
        self.writer.add_text("recipe", f"```toml\n{to_toml(run.recipe)}\n```", last)
        for summary in hparams(_settings(run), {}):  # type: ignore[no-untyped-call]
            self.writer.file_writer.add_summary(summary)

    def write(self, record: Mapping[str, Any]) -> None:
        for name, value in _numbers(record).items():
            self.writer.add_scalar(name, value, int(record["step"]))
        self.show()

    def show(self) -> None:
        """The sample grids that are new."""
        for step, path in self.album.new():
            self.writer.add_image("samples", _grid(path), step, dataformats="HWC")

    def close(self) -> None:
        self.show()
        self.writer.close()


class Trackio:
    """A project in RUN/trackio: look at it with `TRACKIO_DIR=RUN/trackio trackio show`."""

    def __init__(self, run: Run) -> None:
        # trackio reads its folder from the environment when it is imported; a space_id there would send things away
        folder = _own_folder(run, "trackio")
        os.environ.setdefault("TRACKIO_DIR", str(folder))
        for variable in ("TRACKIO_SPACE_ID", "TRACKIO_DATASET_ID", "TRACKIO_SERVER_URL"):
            os.environ.pop(variable, None)
        try:
            import trackio
        except ImportError:
            raise _missing("trackio") from None
        self.module: Any = trackio
        self.messages, self.album = folder / "messages.txt", Album(run)
        with self.aside():
            self.module.init(project="morphogen", name=run.path.name, config=_settings(run), resume="allow")

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """What trackio prints goes to a file: standard output is ours."""
        with open(self.messages, "a", encoding="utf-8") as file, contextlib.redirect_stdout(file):
            yield

    def write(self, record: Mapping[str, Any]) -> None:
        with self.aside():
            self.module.log(_numbers(record), step=int(record["step"]))
            self.show()

    def show(self) -> None:
        """The sample grids that are new."""
        for step, path in self.album.new():
            self.module.log({"samples": self.module.Image(_grid(path), caption=path.stem)}, step=step)

    def close(self) -> None:
        with self.aside():
            self.show()
            self.module.finish()


TRACKERS: dict[str, Callable[[Run], Tracker]] = {"tensorboard": Tensorboard, "trackio": Trackio}
