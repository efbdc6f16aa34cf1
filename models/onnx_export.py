"""Exports a trained PyTorch module to a checked ONNX file, for the training scripts models/*/train.py.

Works with PyTorch 1.13 (Debian's python3-torch) and newer.
"""

import inspect
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

# Supported by every current ONNX engine.
OPSET = 13


def make_reproducible(seed: int) -> None:
    """Sets one seed, one thread and deterministic kernels, so that two runs give the same weights."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)


def export_onnx(model: torch.nn.Module, example: torch.Tensor, path: Path, input_name: str, output_name: str) -> None:
    """Writes `model` to `path` with a free batch dimension, checks the file and prints its graph."""
    # Newer PyTorch needs an option for the tracing exporter, which is the only one of older PyTorch.
    tracing = {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    model.eval()
    torch.onnx.export(
        model,
        example,
        str(path),
        input_names=[input_name],
        output_names=[output_name],
        dynamic_axes={input_name: {0: "batch"}, output_name: {0: "batch"}},
        opset_version=OPSET,
        **tracing,
    )
    graph = onnx.load(str(path))
    onnx.checker.check_model(graph, full_check=True)
    print(onnx.helper.printable_graph(graph.graph))
    print(f"{path.name}: {path.stat().st_size} bytes, opset {OPSET}, checked")


def compare_with_torch(model: torch.nn.Module, path: Path, inputs: torch.Tensor, tolerance: float = 1e-5) -> None:
    """Runs the file with ONNX Runtime and fails if an output differs by more than `tolerance` from PyTorch's."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (served,) = session.run(None, {session.get_inputs()[0].name: inputs.numpy()})
    with torch.no_grad():
        trained = model.eval()(inputs).numpy()
    if served.shape != trained.shape:
        raise SystemExit(f"ONNX Runtime gives shape {served.shape}, PyTorch {trained.shape}")
    furthest = float(np.abs(served - trained).max())
    print(f"ONNX Runtime against PyTorch on {len(inputs)} inputs: largest difference {furthest:.2e}")
    if not furthest <= tolerance:
        raise SystemExit(f"ONNX Runtime and PyTorch differ by {furthest}, expected at most {tolerance}")
