#!/usr/bin/env bash
# The incumbent in its own virtual environment, .bench/pythae-venv, for the comparisons of `make bench`. Safe to repeat.
#
# pythae 0.1.2 comes from PyPI; where that is not to be had, from a source checkout named by PYTHAE_SOURCE (a folder
# with setup.py, or a git directory). Nothing in it is patched. It runs on the very torch that Morphogen runs on:
# torch is installed first and held there by a constraint, and pythae comes without its dependencies, of which only
# those that it imports are then added.
set -euo pipefail
cd "$(dirname "$0")/.."

torch="${PEER_TORCH:-2.13.0}"
home="${PEER_VENV:-.bench/pythae-venv}"
python="$home/bin/python"
stamp="$home/.ready-$torch"

works() { # the pieces that the benchmark drives, and the torch that it must run on
    "$python" - "$torch" <<'PY' 2>/dev/null
import sys
import torch
from pythae.models import VAE, VAEConfig
from pythae.pipelines import TrainingPipeline
from pythae.samplers import NormalSampler
from pythae.trainers import BaseTrainer
assert torch.__version__.split("+")[0] == sys.argv[1], torch.__version__
PY
}

if [ -e "$stamp" ] && works; then
    echo "$home is ready"
    exit 0
fi

rm -f "$home"/.ready-*
[ -x "$python" ] || "${PYTHON:-python3}" -m venv "$home"
constraints="$home/constraints.txt"
echo "torch==$torch" >"$constraints"
pip() { "$python" -m pip "$@" --quiet --disable-pip-version-check; }

pip install "torch==$torch" # the CPU wheel, where that is the one at hand
pip install -c "$constraints" numpy scipy scikit-learn "pydantic>=2" typing_extensions tqdm imageio cloudpickle
if ! pip install --no-deps "pythae==0.1.2"; then
    source="${PYTHAE_SOURCE:?pythae 0.1.2 is not on the index: set PYTHAE_SOURCE to a source checkout}"
    if [ ! -e "$source/setup.py" ]; then
        rm -rf "$home/source" && mkdir "$home/source"
        git --git-dir="$source" archive HEAD | tar -x -C "$home/source"
        source="$home/source"
    fi
    pip install --no-deps "$source"
fi
works || { echo "pythae does not run in $home; remove that folder and try again" >&2; exit 1; }
touch "$stamp"
"$python" -c 'import importlib.metadata as m; print("pythae", m.version("pythae"), "on torch", m.version("torch"))'
