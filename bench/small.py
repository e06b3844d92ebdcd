"""What needs no second library: the machine, start-up, and training from a file that is larger than memory."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from page import Table
from probe import Machine
from sides import HOME, Broken, process
from speed import Ask
from tally import rounds

__all__ = ["machine", "startup", "streaming"]


def machine(before: Machine) -> list[Table]:
    """What all of this ran on."""
    rows: list[Sequence[str]] = [
        ("processor", before.cpu), ("cores", str(before.cores)), ("torch", before.torch),
        *((f"{kind}, 1024 x 1024 product", f"{speed:.0f} GFLOP/s") for kind, speed in before.gflops.items()),
        ("oneDNN over MKL, float32", f"{before.ratio:.2f}x"),
        ("others running; the last minute", f"{before.load:.1f}; {before.minute:.1f}"),
        ("of a core, one thread had", f"{before.share:.0%}"),
        ("at rest", "yes" if before.quiet else "no: CONTENDED"),
    ]  # fmt: skip
    return [Table("machine", ("what", "found"), rows, words=2)]


def startup(ask: Ask) -> list[Table]:
    """The first second of a user's day, in interleaved rounds of fresh processes."""
    python = [sys.executable, "-c"]
    programs = {
        "python -c pass": ([*python, "pass"], None),
        "python -c 'import morphogen'": ([*python, "import morphogen"], 0.3),
        "morphogen --help": ([str(Path(sys.executable).with_name("morphogen")), "--help"], 0.2),
    }
    table = Table("startup", ("command", "median, ms", "fastest, ms", "CPU, ms", "processes", "asked"))
    try:
        for command, _ in programs.values():
            process(command)  # warms the file cache
        turns = {name: lambda c=command: process(c)[0] for name, (command, _) in programs.items()}
        taken = rounds(turns, *ask.times(10, 3))
    except Broken as error:
        ask.broken.append(f"startup: {error}")
        return [table]
    for name, (_, bound) in programs.items():
        wall, cpu = ([1000 * getattr(took, what) for took in taken[name]] for what in ("wall", "cpu"))
        middle = statistics.median(wall)
        ask.records.append({"command": name, "median_ms": middle, "fastest_ms": min(wall), "bound_s": bound})
        asked = f"< {1000 * bound:.0f} ms" if bound else "none: what every program pays"
        shown = (f"`{name}`", f"{middle:.0f}", f"{min(wall):.0f}", f"{statistics.median(cpu):.0f}", str(len(wall)))
        table.rows.append((*shown, asked))
    return [table]


def streaming(ask: Ask) -> list[Table]:
    """bench/streaming.py, told in a table."""
    size = 0.2 if ask.quick else ask.gigabytes
    tables = []
    for threads in ask.threads:
        command = [sys.executable, str(HOME / "streaming.py"), "--gb", str(size)]
        try:
            printed = process(command, threads)[1]
        except Broken as error:
            ask.broken.append(f"streaming, {threads} threads: {error}")
            continue
        said = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
        ask.records.extend(said)
        tables.append(streaming_table(said, size, threads))
    return tables


def streaming_table(said: Sequence[dict[str, Any]], size: float, threads: int) -> Table:
    head = ("what", "threads", "from memory", "from the file", "share, median of pairs", "asked")
    table = Table("streaming", head)
    for line in said:
        if "what" in line:
            asked = ">= 0.85" if line["what"] == "training" else "none"
            speeds = (f"{line['memory_images_per_s']:,.0f} images/s", f"{line['file_images_per_s']:,.0f} images/s")
            table.rows.append((str(line["what"]), str(threads), *speeds, f"{line['ratio']:.2f}", asked))
        else:
            peak = f"{line['peak_rss_gb']:.2f} GB"
            table.rows.append((f"peak memory, {size:g} GB on disk", str(threads), "", peak, "", "< 1.5 GB"))
    return table
