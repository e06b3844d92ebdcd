"""Compress: files into archives that a trained model makes small, and back, bit for bit or nearly."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from morphogen.tasks.task import Amount, Count, task

if TYPE_CHECKING:
    from morphogen.codec.learned import Learned

__all__ = ["compress", "contents", "decompress"]


@task
def compress(
    model: str,
    files: list[str],
    *,
    out: str,
    exact: bool = False,
    paranoid: bool = False,
    reference: bool = False,
    loss: Amount | None = None,
    max_error: Count | None = None,
    force: bool = False,
) -> dict[str, Any]:
    """Files and folders into one archive, lossless unless told otherwise: pictures by the model, the rest by deflate.

    model: the folder of a run, or a profile file
    files: files and folders; - is standard input
    out: the archive to write, usually .mgn; - is standard output
    exact: restore PNG and NPZ files byte for byte, not only their contents
    paranoid: decode every block by the second implementation too; by default only a sample is
    reference: leave the model out of the archive, which then opens only with --model
    loss: lossy: round the latents; 1 loses about what the model was trained to ignore, 2 twice that; from 1/16 to 16
    max_error: lossy: no pixel level is off by more than this
    force: overwrite existing files

    morphogen compress last pictures -o pictures.mgn
    morphogen compress runs/ladder-mnist scans -o scans.mgn --reference
    """
    from morphogen.codec.learned import learned_of
    from morphogen.codec.smallest import pack_smallest
    from morphogen.errors import UserError
    from morphogen.progress import Tally

    learned: Any = _learned(model)
    plain = learned

    def watch(total: int) -> None:
        plain.tell = Tally(2 * total, "compress")  # each block is decoded again

    oracle = learned_of(learned.profile, oracle=True)
    if loss is not None or max_error is not None:
        if exact:
            raise UserError("exact keeps every byte, loss and max-error do not; leave out the one or the others")
        from morphogen.codec.lossy import Lossy

        learned = Lossy(learned, loss, max_error)
    return pack_smallest(
        files,
        out,
        learned,
        oracle=oracle,
        paranoid=paranoid,
        exact=exact,
        inside=not reference,
        force=force,
        watch=watch,
    )


@task
def decompress(
    archive: str,
    *,
    out: str = ".",
    extract: str | None = None,
    model: str | None = None,
    recover: bool = False,
    force: bool = False,
) -> dict[str, Any]:
    """Extract the files of an archive; everything is verified before the first file is put in place.

    archive: a file that `compress` wrote; - is standard input
    out: the folder to extract to; - is standard output, for one file
    extract: only the file of this name; no more of the archive is read than that needs
    model: the run or profile, for an archive without its model
    recover: save what can be saved of a damaged archive, and list what cannot
    force: overwrite existing files

    morphogen decompress pictures.mgn -o pictures
    morphogen decompress scans.mgn --extract scans/01.png -o one --model runs/ladder-mnist
    """
    from morphogen.codec.learned import learned_of
    from morphogen.codec.unpack import coded, unpack
    from morphogen.progress import Tally

    def watched(profile: bytes) -> Learned:
        learned = learned_of(profile)
        learned.tell = Tally(0 if extract else coded(archive), "decompress")
        return learned

    profile = None if model is None else _learned(model).profile
    return unpack(archive, out, watched, profile=profile, extract=extract, recover=recover, force=force)


@task
def contents(archive: str) -> list[dict[str, Any]]:
    """List an archive: names, sizes, compressed sizes, and how each file is coded.

    archive: a file that `compress` wrote; - is standard input

    morphogen contents pictures.mgn
    morphogen contents pictures.mgn --json
    """
    from morphogen.codec.unpack import contents as listed

    return listed(archive)


def _learned(model: str) -> Learned:
    """From a run's folder, or a file that holds a profile."""
    from morphogen.codec.learned import learned_of, learned_of_run
    from morphogen.errors import UserError

    path = Path(model)
    if path.is_file():
        try:
            return learned_of(path.read_bytes())
        except OSError as error:
            raise UserError(f"{path} cannot be read: {error.strerror}") from None
    from morphogen.opened import OpenRun

    return learned_of_run(OpenRun(path))
