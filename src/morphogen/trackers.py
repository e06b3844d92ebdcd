"""Trackers beside our own log: tensorboard and trackio, both on this machine alone and both optional.

A recipe asks for them: train.track = ["tensorboard"]. Nothing is sent anywhere, and no account is needed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from morphogen.errors import UserError, did_you_mean
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
    """What can be drawn: every number but the step itself."""
    return {k: float(v) for k, v in record.items() if isinstance(v, (int, float)) and k not in ("step", "fraction")}


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
    """Scalars in RUN/tensorboard: look at them with `tensorboard --logdir runs`."""

    def __init__(self, run: Run) -> None:
        # purge_step: what an earlier sitting wrote after the state that we resume from is void
        last = max((r.get("step", 0) for r in run.log()), default=0)
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            raise _missing("tensorboard") from None
        self.writer: Any = SummaryWriter(str(_own_folder(run, "tensorboard")), purge_step=last + 1 if last else None)

    def write(self, record: Mapping[str, Any]) -> None:
        for name, value in _numbers(record).items():
            self.writer.add_scalar(name, value, int(record["step"]))

    def close(self) -> None:
        self.writer.close()


class Trackio:
    """A project in RUN/trackio: look at it with `TRACKIO_DIR=RUN/trackio trackio show`."""

    def __init__(self, run: Run) -> None:
        # trackio reads its folder from the environment when it is imported; a space_id there would send things away
        os.environ.setdefault("TRACKIO_DIR", str(_own_folder(run, "trackio")))
        for variable in ("TRACKIO_SPACE_ID", "TRACKIO_DATASET_ID", "TRACKIO_SERVER_URL"):
            os.environ.pop(variable, None)
        try:
            import trackio
        except ImportError:
            raise _missing("trackio") from None
        self.module: Any = trackio
        self.module.init(project="morphogen", name=run.path.name, config=run.recipe, resume="allow")

    def write(self, record: Mapping[str, Any]) -> None:
        self.module.log(_numbers(record), step=int(record["step"]))

    def close(self) -> None:
        self.module.finish()


TRACKERS: dict[str, Callable[[Run], Tracker]] = {"tensorboard": Tensorboard, "trackio": Trackio}
