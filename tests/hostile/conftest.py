"""The stand-in for a model lies beside the other tests."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
