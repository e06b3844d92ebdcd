"""What a task gives back: values of a Space, with how they were made. They show and save themselves."""

from __future__ import annotations

import html
import io
import json
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from morphogen import files
from morphogen.atomic import may_write, write
from morphogen.core.space import Space
from morphogen.core.table import Table
from morphogen.data.rows import cells
from morphogen.errors import UserError

__all__ = ["Values", "gathered", "joined"]

SHOWN_IN_NOTEBOOK = 256


@dataclass
class Values:
    """`x` as a model says it, on the CPU; `beside` are figures that belong to it; `remark` is worth saying aloud."""

    x: Tensor
    space: Space
    columns: int = 0
    labels: Tensor | None = None
    names: list[str] | None = None
    beside: dict[str, Any] = field(default_factory=dict)
    remark: str = ""
    note: dict[str, Any] = field(default_factory=dict)
    fills: ClassVar[bool] = False  # whether a folder that is there gets a file for each, not one file for all

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, place: int | slice) -> Tensor:
        return self.x[place]

    def __iter__(self) -> Iterator[Tensor]:
        return iter(self.x)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        if isinstance(self.space, Table):
            raise UserError("rows of a table are no array of numbers; .frame() is a data frame, .x what a model sees")
        return np.asarray(self.x.numpy(), dtype=dtype)

    @property
    def stored(self) -> NDArray[Any]:
        """The values as they would be stored: bytes of pixels, symbols, columns in their own units."""
        values: NDArray[Any] = self.space.write(self.x).contiguous().numpy()
        return values

    @property
    def suffix(self) -> str:
        """The ending of a file that holds all of it."""
        return ".npz" if self.labels is not None or self.names is not None else files.default_suffix(self.space)

    def frame(self, library: str | None = None) -> Any:
        """The rows as a data frame: of `library` (pandas, polars or pyarrow), or of the first that is installed."""
        from morphogen.data.frames import frame_of

        if isinstance(self.space, Table):
            columns = cells(self.space.write(self.x), self.space)
        elif len(self.space.shape) == 1:
            stored = self.stored
            named = getattr(self.space, "columns", ()) or [f"c{i}" for i in range(stored.shape[1])]
            columns = {name: stored[:, place].tolist() for place, name in enumerate(named)}
        else:
            raise UserError(f"{self.space.plural} are not rows of a table; .x and .stored are arrays")
        if self.names is not None:
            columns = {"name": list(self.names)} | columns
        if self.labels is not None:
            columns["label"] = self.labels.tolist()
        return frame_of(columns, library)

    def save(self, path: str | Path, *, force: bool = False) -> list[Path]:
        """Write to a file in the format of its ending, figures beside it; what is there stays, unless forced."""
        path = Path(path)
        note = self.note | ({"columns": self.columns} if self.columns else {})
        figures = {path.with_name(f"{path.stem}-{name}.png"): figure for name, figure in self.beside.items()}
        for there in figures:
            may_write(there, force)
        if path.suffix.lower() == ".npz" and self.suffix == ".npz":
            written = [self._save_codes(path, note, force)]
        else:
            written = files.save(path, self.x, self.space, note=note, force=force)
        for there, figure in figures.items():
            from morphogen import figures as drawing

            written.append(drawing.save(figure, there, note, force=force))
        return written

    def stream(self, file: BinaryIO) -> None:
        """Write it where bytes go by and nothing can be named: in the usual format, without figures beside it."""
        with tempfile.TemporaryDirectory() as folder:
            bare = replace(self, beside={})
            file.write(bare.save(Path(folder) / f"values{self.suffix}")[0].read_bytes())

    def _save_codes(self, path: Path, note: Mapping[str, Any], force: bool) -> Path:
        """x, y and names side by side: what `decode` takes, and a data set that can be trained on."""
        may_write(path, force)
        held: dict[str, Any] = {"x": self.stored}
        if self.labels is not None:
            held["y"] = self.labels.cpu().numpy()
        if self.names is not None:
            held["names"] = np.array(self.names)
        out = io.BytesIO()
        np.savez(out, note=np.array(json.dumps(dict(note), sort_keys=True, default=str)), **held)
        write(path, out.getvalue(), force=force)
        return path

    def __str__(self) -> str:
        colour = sys.stdout is not None and sys.stdout.isatty()
        return files.show(self.x, self.space, colour=colour)

    def __repr__(self) -> str:
        return f"<{len(self)} values of {self.space.kind} {self.space.shape}; str() shows some, .save() keeps all>"

    def _repr_png_(self) -> bytes | None:
        """What a notebook shows where the values are to be looked at."""
        if files.default_suffix(self.space) != ".png":
            return None
        with tempfile.TemporaryDirectory() as folder:
            few = Values(self.x[:SHOWN_IN_NOTEBOOK], self.space, self.columns)
            return few.save(Path(folder) / "values.png")[0].read_bytes()

    def _repr_html_(self) -> str | None:
        """What a notebook shows where they are to be read."""
        if files.default_suffix(self.space) == ".png":
            return None
        return f"<pre>{html.escape(files.show(self.x, self.space, count=16))}</pre>"


def joined(pieces: list[Tensor]) -> Tensor:
    """Batches as one, on the CPU, in float32 where they are numbers."""
    said = torch.cat(pieces)
    return said.float() if said.is_floating_point() else said


def gathered(pieces: Iterable[Tensor], rows: int) -> Tensor:
    """Batches as one of `rows` examples, each put in its place as it comes: nothing is held twice."""
    said: Tensor | None = None
    start = 0
    for piece in pieces:
        if said is None:
            kind = torch.float32 if piece.is_floating_point() else piece.dtype
            said = torch.empty(rows, *piece.shape[1:], dtype=kind)
        said[start : start + len(piece)] = piece
        start += len(piece)
    return torch.empty(0) if said is None else said
