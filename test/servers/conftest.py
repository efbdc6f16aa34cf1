"""What every test here has: the worker, the servers behind it, and native ONNX Runtime over the same models."""

import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tritonclient.http as httpclient
from tritonclient.utils import np_to_triton_dtype

MODELS = Path(os.environ["EDGEWISE_MODELS"])
LARGE = Path(os.environ["EDGEWISE_LARGE_MODEL"])
SERVERS: dict[str, str] = json.loads(os.environ["EDGEWISE_SERVERS"])
WORKER = os.environ["EDGEWISE_URL"]

# The same ONNX Runtime on both sides, which may order its sums otherwise for another batch.
RTOL = 1e-5
ATOL = 1e-6


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> dict:
        return json.loads(self.body)


def ask(path: str, body: dict | bytes | None = None, headers: dict[str, str] | None = None, url: str = WORKER) -> Answer:
    """What the worker, or the server at `url`, answers to a GET, or to a POST of `body`. Header names in lower case."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    request = urllib.request.Request(url + path, data=data, headers=headers or {})
    if isinstance(body, dict):
        request.add_header("Content-Type", "application/json")
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        return Answer(answer.status, {k.lower(): v for k, v in answer.headers.items()}, answer.read())


def tensor(name: str, array: np.ndarray, binary: bool = True) -> httpclient.InferInput:
    given = httpclient.InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def json_input(name: str, array: np.ndarray) -> dict:
    datatype = np_to_triton_dtype(array.dtype)
    return {"name": name, "datatype": datatype, "shape": list(array.shape), "data": array.ravel().tolist()}


@pytest.fixture(scope="session")
def client():
    """Triton's client at the worker."""
    with httpclient.InferenceServerClient(WORKER.removeprefix("http://"), concurrency=8) as client:
        yield client


@pytest.fixture(scope="session")
def native():
    """`native(path, {input: array})` is what ONNX Runtime answers here: {output: array}."""
    sessions: dict[Path, onnxruntime.InferenceSession] = {}

    def run(path: Path, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        if path not in sessions:
            sessions[path] = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [output.name for output in sessions[path].get_outputs()]
        return dict(zip(names, sessions[path].run(names, feeds), strict=True))

    return run


def agree(answer: np.ndarray, expected: np.ndarray) -> None:
    assert answer.dtype == expected.dtype
    assert answer.shape == expected.shape
    np.testing.assert_allclose(answer, expected, rtol=RTOL, atol=ATOL)
