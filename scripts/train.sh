#!/usr/bin/env bash
# Trains the models of this repository: all of models/*/train.py, or the named ones.
#
#   npm run train [-- mlp digits]
#
# Uses the system's PyTorch (Debian: apt-get install python3-torch python3-onnx python3-venv) or installs it from PyPI.
# The rest goes into .venv/train. PYTHON=… selects the interpreter.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=.venv/train
ready() { "$1" -c 'import numpy, onnx.checker, onnxruntime, torch' 2>/dev/null; }

make_venv() {
  local python
  for python in ${PYTHON:-/usr/bin/python3 python3}; do
    command -v "$python" >/dev/null || continue
    "$python" -c 'import numpy, onnx.checker, torch' 2>/dev/null || continue
    echo "train: PyTorch from $python"
    "$python" -m venv --clear --system-site-packages "$venv"
    # Keep the system's numpy, which its torch is built against.
    "$venv/bin/pip" install --quiet onnxruntime "numpy==$("$python" -c 'import numpy; print(numpy.__version__)')"
    return
  done
  echo "train: no PyTorch on this system, installing it into $venv"
  "${PYTHON:-python3}" -m venv --clear "$venv"
  "$venv/bin/pip" install --quiet --requirement models/requirements.txt
}

ready "$venv/bin/python" || make_venv

if [ $# -eq 0 ]; then
  for script in models/*/train.py; do set -- "$@" "$(basename "$(dirname "$script")")"; done
fi
for model in "$@"; do
  echo "train: $model"
  "$venv/bin/python" "models/$model/train.py"
done
