"""Synonyms: words of other programs and of the field for what a command here is called."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

__all__ = ["SYNONYMS", "suggestion"]

SYNONYMS: dict[str, tuple[str, ...]] = {
    "augment": ("synthesize", "synthesise", "oversample", "smote"),
    "worth": ("usefulness", "ablation"),
    "exchange": ("style-transfer", "transfer", "swap", "disentangle"),
    "mix": ("blend", "mixup", "average"),
    "classify": ("predict", "label", "classification", "cluster", "clusters", "clustering"),
    "encode": ("embed", "embedding", "embeddings", "latents", "features", "extract-features", "infer", "transform"),
    "decode": ("invert", "inverse", "inverse-transform"),
    "compress": ("zip", "pack", "archive"),
    "decompress": ("unzip", "unpack", "extract", "uncompress"),
    "contents": ("list-archive", "toc"),
    "detect": ("anomaly", "anomalies", "outlier", "outliers", "novelty", "ood", "anomaly-detection"),
    "edit": ("manipulate", "attribute", "steer"),
    "combine": ("arithmetic", "analogy"),
    "traverse": ("traversal", "traversals", "factors", "sweep"),
    "manifold": ("map", "plane", "latent-space", "scatter", "tsne", "umap"),
    "judge": ("fid", "kid", "quality", "metrics", "precision-recall"),
    "recipes": ("models", "model", "configs", "zoo", "list-models", "presets"),
    "data": ("datasets", "dataset", "sets"),
    "tasks": ("commands", "verbs", "abilities"),
    "recipe": ("config", "metadata", "provenance", "inspect"),
    "checks": ("doctor", "env", "info", "diagnose", "system", "environment", "check"),
    "show": ("status", "summary", "describe", "plot", "log", "logs", "curves"),
    "runs": ("list", "ls", "experiments", "history", "dir"),
    "compare": ("diff", "versus", "vs"),
    "prune": ("rm", "remove", "delete", "clean", "gc", "purge"),
    "sample": ("generate", "gen", "draw", "synth"),
    "reconstruct": ("reconstruction", "autoencode", "recon"),
    "interpolate": ("interpolation", "morph", "walk", "lerp", "slerp"),
    "resemble": ("similarity", "sdmetrics", "fidelity-report"),
    "restore": ("inpaint", "inpainting", "denoise", "upscale", "super-resolution", "superresolution", "sr", "deblur",
                "colorize", "colourize", "impute", "imputation", "fill", "repair", "complete", "enhance"),
    "score": ("likelihood", "elbo", "nll", "log-likelihood", "loglik", "density", "bpd"),
    "fidelity": ("mse", "rmse", "reconstruction-error", "psnr"),
    "evaluate": ("eval", "test", "validate", "report", "bench", "benchmark"),
    "train": ("fit", "learn", "run", "start", "new", "finetune", "fine-tune"),
    "resume": ("continue", "restart", "extend"),
    "completion": ("completions", "autocomplete", "complete-shell"),
}  # fmt: skip


def suggestion(word: str, known: Iterable[str]) -> str:
    """What to type in place of a command that does not exist: our word for it, near spellings, or where to look.

    >>> suggestion("generate", ["sample", "train"])
    "did you mean 'sample'?"
    >>> suggestion("zzz", ["sample", "train"])
    'see `morphogen --help`'
    """
    known = list(known)
    said = word.lower().replace("_", "-")
    for ours, theirs in SYNONYMS.items():
        if said in theirs and ours in known:
            return f"did you mean {ours!r}?"
    near = get_close_matches(said, known, n=3, cutoff=0.6)
    return f"did you mean {' or '.join(map(repr, near))}?" if near else "see `morphogen --help`"
