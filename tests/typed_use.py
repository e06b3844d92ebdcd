"""What a user's type checker makes of the package: mypy reads this file in `make check`, and nothing runs it. Each
mistake is marked, and a mark that marks nothing is an error too."""

from __future__ import annotations

import morphogen as mg
from morphogen.facts import Facts, Rows
from morphogen.values import Values


def use() -> None:
    """Results have types; names, arguments and values that do not exist are refused."""
    run = mg.open("last")
    a: Values = run.sample(16, seed=1)
    b: Facts = run.score("mnist", samples=5, split="test")
    c: Rows = mg.runs()
    d: Facts = mg.compress(str(run.path), ["x"], out="y")
    e: Facts = run.compress(["x"], out="y")
    f: Facts = mg.train("vae", "digits", steps=3).show()
    print(a, b, c, d, e, f)
    mg.trian("vae")  # type: ignore[attr-defined]
    run.sampel(3)  # type: ignore[attr-defined]
    run.sample("many")  # type: ignore[arg-type]
    run.sample(3, tempreature=1.0)  # type: ignore[call-arg]
    run.classify(by="guess")  # type: ignore[arg-type]
    x: int = run.score()  # type: ignore[assignment]
    print(x)
