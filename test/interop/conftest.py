"""What every test here has: the clients' server, its admin key, and native ONNX Runtime over the same models."""

import os
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tritonclient.http as httpclient

MODELS = Path(os.environ["EDGEWISE_MODELS"])
FIXTURES = Path(os.environ["EDGEWISE_FIXTURES"])

# WebAssembly and native kernels order their sums differently.
RTOL = 1e-4
ATOL = 1e-5

largest_differences: dict[str, float] = {}


@pytest.fixture(scope="session")
def address() -> str:
    return os.environ["EDGEWISE_URL"].removeprefix("http://")


@pytest.fixture(scope="session")
def admin() -> dict[str, str]:
    return {"Authorization": f"Bearer {os.environ['EDGEWISE_ADMIN_KEY']}"}


@pytest.fixture(scope="session")
def client(address):
    with httpclient.InferenceServerClient(address, concurrency=8) as client:
        yield client


@pytest.fixture(scope="session")
def native():
    """`native(model, {input: array})` is what ONNX Runtime answers: {output: array}."""
    sessions: dict[str, onnxruntime.InferenceSession] = {}

    def run(model: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if model not in sessions:
            path = MODELS / model / "1" / "model.onnx"
            sessions[model] = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        session = sessions[model]
        return dict(zip((o.name for o in session.get_outputs()), session.run(None, feeds), strict=True))

    return run


@pytest.fixture
def agree():
    """Holds an answer against the native one, and keeps the largest difference of the model."""

    def check(model: str, answer: np.ndarray, expected: np.ndarray) -> None:
        assert answer.dtype == expected.dtype
        assert answer.shape == expected.shape
        difference = float(np.max(np.abs(answer - expected), initial=0))
        largest_differences[model] = max(difference, largest_differences.get(model, 0))
        np.testing.assert_allclose(answer, expected, rtol=RTOL, atol=ATOL)

    return check


def pytest_terminal_summary(terminalreporter):
    for model, difference in sorted(largest_differences.items()):
        terminalreporter.write_line(f"{model}: largest difference from native ONNX Runtime {difference:.2g}")
