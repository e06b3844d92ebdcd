"""Files that are no data as they are: what to do with each, by its ending."""

from __future__ import annotations

from pathlib import Path

from morphogen.data.pictures import FOREIGN, SUFFIXES

__all__ = ["remedy"]

PACKED = {".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz", ".7z", ".rar"}
FILMS = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"}
SOUNDS = {".wav", ".mp3", ".flac", ".ogg", ".m4a"}
SHEETS = {".xlsx", ".xls", ".ods", ".json", ".feather", ".arrow"}
TENSORS = {".mat", ".h5", ".hdf5", ".pt", ".pth", ".pkl", ".pickle", ".tfrecord"}


def remedy(path: Path) -> str:
    """What a file is and what to do with it, to be said after its name.

    >>> remedy(Path("faces.zip"))
    'is packed: unpack it, and name the folder'
    """
    ending = path.suffix.lower()
    if ending in PACKED:
        return "is packed: unpack it, and name the folder"
    if ending in SUFFIXES | FOREIGN:
        return "is a single picture: put all pictures in a folder, and name that"
    if ending in FILMS:
        return "is a film: take its frames out as pictures (ffmpeg does), and name their folder"
    if ending in SOUNDS:
        return "is a sound: make spectrograms of sounds, an array (N, height, width) in a .npy file"
    if ending in (".txt", ".text", ".md", ".jsonl"):
        return (
            "is text: save sequences of one length, their characters or words numbered, as an array (N, length) in .npy"
        )
    if ending in SHEETS:
        return "is not read: save the table as .csv or .parquet"
    if ending in TENSORS:
        return "is not read: save its array with numpy.save as .npy, or with numpy.savez(path, x=x, y=y)"
    return "is neither a folder of pictures, nor an array (.npy, .npz), nor a table (.csv, .tsv, .parquet)"
