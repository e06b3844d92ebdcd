"""Scikit-learn's own way to the same models: estimators that are cloned, piped, searched and scored as any other.

>>> from morphogen.sklearn import VAETransformer
>>> VAETransformer(n_components=3, max_iter=500)
VAETransformer(max_iter=500, n_components=3)
"""

from __future__ import annotations

from morphogen.sklearn.classifier import SemiSupervisedVAEClassifier
from morphogen.sklearn.imputer import VAEImputer
from morphogen.sklearn.outliers import VAEOutlierDetector
from morphogen.sklearn.sampler import Sampler
from morphogen.sklearn.transformer import VAETransformer

__all__ = ["Sampler", "SemiSupervisedVAEClassifier", "VAEImputer", "VAEOutlierDetector", "VAETransformer"]
