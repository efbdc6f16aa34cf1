"""Servers that die behind the worker. The last tests: what is killed stays dead."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as httpclient
from conftest import MODELS, SERVERS, agree, ask, tensor
from tritonclient.utils import InferenceServerException

DIGITS = MODELS / "digits" / "1" / "model.onnx"
PICTURE = np.random.default_rng(5).random((1, 1, 28, 28), dtype=np.float32)
REQUESTS = 200


@pytest.fixture(scope="module")
def expected(native):
    return native(DIGITS, {"image": PICTURE})["probabilities"]


def serve_replicas(deployment: str) -> list[int]:
    """Processes of this run's Ray Serve, by the mark in their environment."""
    mark = f"EDGEWISE_TEST_MARK={os.environ['EDGEWISE_TEST_MARK']}".encode()
    found = []
    for process in Path("/proc").iterdir():
        try:
            command = (process / "cmdline").read_bytes()
            if command.startswith(f"ray::ServeReplica:edgewise:{deployment}".encode()):
                if mark in (process / "environ").read_bytes().split(b"\0"):
                    found.append(int(process.name))
        except OSError:
            continue  # Not a process, or gone already.
    return found


def under_load(model: str, kill: int) -> list[np.ndarray | Exception]:
    """What `REQUESTS` requests from four threads are answered, while process `kill` is killed among them."""

    def request(index: int) -> np.ndarray | Exception:
        if index == REQUESTS // 4:
            os.kill(kill, signal.SIGKILL)
        try:
            return clients[index % 4].infer(model, [tensor("image", PICTURE)]).as_numpy("probabilities")
        except InferenceServerException as error:
            return error

    address = os.environ["EDGEWISE_URL"].removeprefix("http://")
    clients = [httpclient.InferenceServerClient(address) for _ in range(4)]
    # Each client is one thread's own: they may not be shared.
    with ThreadPoolExecutor(4) as threads:
        parts = threads.map(lambda first: [request(i) for i in range(first, REQUESTS, 4)], range(4))
        answers = [answer for part in parts for answer in part]
    for client in clients:
        client.close()
    return answers


class TestADeadServer:
    def test_is_503_with_a_time_to_come_back(self):
        body = {"inputs": [{"name": "image", "datatype": "FP32", "shape": [1, 1, 28, 28], "data": [0.0] * 784}]}
        answer = ask("/v2/models/dead%2Fdigits/infer", body)
        assert answer.status == 503
        assert answer.headers["edgewise-error"] == "origin_unavailable"
        assert int(answer.headers["retry-after"]) >= 1
        # Nothing of the inside: neither the endpoint's name nor its address.
        assert SERVERS["dead"].rpartition(":")[2] not in answer.body.decode()

    def test_costs_no_request_while_another_server_has_the_model(self, client, expected):
        for _ in range(5):  # Failures in a row, after which it is not asked any more.
            with pytest.raises(InferenceServerException):
                client.infer("dead/digits", [tensor("image", PICTURE)])
        for _ in range(30):
            agree(client.infer("pool/digits", [tensor("image", PICTURE)]).as_numpy("probabilities"), expected)


class TestRay:
    def test_serves_from_two_replicas(self):
        assert len(serve_replicas("Models")) == 2

    def test_loses_a_replica_and_no_request(self, expected):
        victim = serve_replicas("Models")[0]
        for answer in under_load("ray/digits", victim):
            assert not isinstance(answer, Exception), answer
            agree(answer, expected)

    def test_starts_another_in_its_place(self):
        deadline = time.monotonic() + 60
        while len(serve_replicas("Models")) < 2:
            assert time.monotonic() < deadline, "no second replica within a minute"
            time.sleep(0.5)


class TestTriton:
    def test_dies_and_the_pool_answers_on(self, client, expected):
        for answer in under_load("pool/digits", int(os.environ["EDGEWISE_TRITON_PID"])):
            assert not isinstance(answer, Exception), answer
            agree(answer, expected)
        with pytest.raises(InferenceServerException) as raised:
            client.infer("triton/digits", [tensor("image", PICTURE)])
        assert raised.value.status() == "503"
