"""A made-up table of customers: heavy tails, several humps, counts with many zeros, words that hang together, and an
answer that depends on most of it. The same rows for the same seed on every machine."""

# ruff: noqa: E501  (formulas stand whole)
from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

NAMES = (
    "age",
    "income",
    "debt",
    "visits",
    "distance",
    "rhythm",
    "education",
    "region",
    "work",
    "plan",
    "mobile",
    "left",
)
EDUCATION = ("none", "school", "trade", "college", "doctor")
REGIONS = ("north", "south", "east", "west", "centre", "coast", "hills", "islands")
WORK = ("none", "office", "craft", "field", "own")
PLANS = ("basic", "plus", "family", "firm")


def _pick(draw, scores):
    """One of the columns of `scores`, by the Gumbel trick."""
    return (scores + draw.gumbel(size=scores.shape)).argmax(1)


def made_table(rows: int = 50_000, seed: int = 0) -> list[list]:
    """The rows, as Python values; `left` (yes or no) is the answer."""
    draw = np.random.default_rng(seed)
    life = draw.integers(0, 3, rows)  # young, settled, retired: what nobody wrote down
    age = np.clip(
        np.choose(life, [draw.normal(26, 5, rows), draw.normal(45, 8, rows), draw.normal(70, 6, rows)]), 18, 95
    )
    region = _pick(draw, np.tile(-0.45 * np.arange(8), (rows, 1)))
    city = np.isin(region, (0, 4, 5))
    learning = 0.5 * city + 0.4 * (life == 1) - 0.01 * (age - 45)
    education = _pick(draw, np.stack([(k - 2) * learning - 0.35 * (k - 2) ** 2 for k in range(5)], 1))
    work = _pick(draw, np.stack([
        2.5 * (life == 2) + 0.5 * (life == 0), 0.6 * education + city, 1.2 * (education == 2) + 0.3 * (life == 1),
        1.5 * (1 - city) - 0.3 * education, 0.5 + 0.02 * (age - 40),
    ], 1))  # fmt: skip
    income = np.exp(9.6 + 0.22 * education + 0.5 * (work == 1) + 0.3 * (work == 4) - 0.5 * (work == 0) + 0.4 * (life == 1)
                    + draw.normal(0, 0.35, rows) + 0.5 * (work == 4) * draw.standard_t(3, rows).clip(-3, 9))  # fmt: skip
    debt = np.where(
        draw.random(rows) < 0.35, 0.0, income * draw.pareto(2.5, rows).clip(0, 40) * (0.4 + 0.5 * (life == 0))
    )
    plan = _pick(draw, np.stack([
        1.0 - 0.4 * (np.log(income) - 10), 0.8 * (np.log(income) - 10), 1.6 * (life == 1) - 0.5, 2.0 * (work == 4) - 0.8,
    ], 1))  # fmt: skip
    visits = draw.poisson(np.exp(0.4 + 0.5 * (plan == 1) + 0.8 * (plan == 3) - 0.02 * (age - 45))) * (
        draw.random(rows) > 0.3
    )
    distance = np.where(city, draw.gamma(2.0, 1.5, rows), draw.gamma(4.0, 9.0, rows))
    rhythm = np.choose(_pick(draw, np.stack([0 * age, 0.8 * (life == 0), 1.0 * (life == 2)], 1)),
                       [draw.normal(-2.0, 0.4, rows), draw.normal(0.5, 0.25, rows), draw.normal(3.0, 0.6, rows)])  # fmt: skip
    mobile = draw.random(rows) < 1 / (1 + np.exp(0.08 * (age - 60)))
    leaning = (1.1 * (plan == 0) - 0.5 * visits + 1.3 * (rhythm > 2) * (age < 60) - 0.9 * (rhythm < -1) + 0.04 * distance
               + 0.5 * np.log1p(debt / (income + 1)) * 3 - 0.6 * mobile + 0.5 * (education < 2) - 0.7)  # fmt: skip
    left = draw.random(rows) < 1 / (1 + np.exp(-2.2 * leaning))
    columns = [
        age.round().astype(int), income.round(0).astype(int), debt.round(2), visits, distance.round(1), rhythm.round(3),
        np.array(EDUCATION)[education], np.array(REGIONS)[region], np.array(WORK)[work], np.array(PLANS)[plan],
        np.array(["no", "yes"])[mobile.astype(int)], np.array(["no", "yes"])[left.astype(int)],
    ]  # fmt: skip
    return [list(row) for row in zip(*(c.tolist() for c in columns), strict=True)]


def write_rows(path: Path, names, rows) -> Path:
    """A CSV file; None is an empty cell."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows(["" if cell is None else cell for cell in row] for row in rows)
    return path
