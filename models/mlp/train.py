"""Trains the sample model `mlp` and exports it to ONNX: the smallest path from training to serving.

Linear(10, 20) → Linear(20, 10), nothing between them. Each of the 1000 steps draws 32 random inputs; the target is a
fixed random linear map of them, so there is something to learn and the loss can be seen to fall.
"""

import sys
from pathlib import Path

import torch
from torch import nn

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from onnx_export import compare_with_torch, export_onnx, make_reproducible  # noqa: E402

SEED = 20
STEPS = 1000
BATCH_SIZE = 32
LEARNING_RATE = 0.01


def train() -> nn.Module:
    teacher = torch.randn(10, 10)
    model = nn.Sequential(nn.Linear(10, 20), nn.Linear(20, 10))
    optimiser = torch.optim.SGD(model.parameters(), lr=LEARNING_RATE)
    mean_squared_error = nn.MSELoss()
    first = last = 0.0
    for step in range(STEPS):
        inputs = torch.randn(BATCH_SIZE, 10)
        loss = mean_squared_error(model(inputs), inputs @ teacher)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        last = loss.item()
        first = first or last
        if step % 100 == 0 or step == STEPS - 1:
            print(f"step {step:4d}  loss {last:.4f}")
    if not last < first / 2:
        raise SystemExit(f"loss went from {first:.4f} to {last:.4f}: it did not halve")
    return model


def main() -> None:
    make_reproducible(SEED)
    model = train()
    path = HERE / "1" / "model.onnx"
    export_onnx(model, torch.zeros(1, 10), path, "input", "output")
    compare_with_torch(model, path, torch.randn(64, 10))


if __name__ == "__main__":
    main()
