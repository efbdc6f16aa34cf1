"""Each server behind the worker answers as ONNX Runtime does, and its refusals are the caller's."""

import json
import os
import re
import shutil
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest
import tritonclient.http as httpclient
from conftest import LARGE, MODELS, SERVERS, WORKER, agree, ask, json_input, tensor
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

rng = np.random.default_rng(3)
DIGITS = MODELS / "digits" / "1" / "model.onnx"

servers = pytest.mark.parametrize("server", ["triton", "mlserver", "ray"])


def pictures(batch: int) -> np.ndarray:
    return rng.random((batch, 1, 28, 28), dtype=np.float32)


class TestServers:
    def test_are_those_that_they_say(self):
        described = {name: ask("/v2", url=SERVERS[name]).json() for name in ("triton", "mlserver", "ray")}
        assert {name: (about["name"], about["version"]) for name, about in described.items()} == {
            "triton": ("triton", "2.51.0"),
            "mlserver": ("mlserver", "1.7.1"),
            "ray": ("edgewise-ray", "0.1.0"),
        }
        binary = {name for name, about in described.items() if "binary_tensor_data" in about["extensions"]}
        assert binary == {"triton", "ray"}


class TestTheOriginOnRay:
    """What its callers rely on, asked directly."""

    URL = SERVERS["ray"]
    KEY = {"Authorization": f"Bearer {os.environ['EDGEWISE_RAY_KEY']}"}
    PATH = "/v2/models/ray%2Fdigits"

    def test_wants_a_key_for_models_and_none_for_its_health(self):
        for headers in ({}, {"Authorization": "Bearer nonesuch"}):
            refused = ask(self.PATH, headers=headers, url=self.URL)
            assert (refused.status, refused.headers["edgewise-error"]) == (401, "unauthenticated")
        assert ask("/v2/health/ready", url=self.URL).status == 200
        assert ask(self.PATH, headers=self.KEY, url=self.URL).json()["versions"] == ["1"]

    def test_lists_what_is_published(self):
        index = ask("/v2/repository/index", {}, self.KEY, url=self.URL).json()
        assert {"name": "ray/digits", "version": "1", "state": "READY", "reason": ""} in index

    def test_names_its_errors_as_edgewise_does(self):
        def code(path: str, body: dict) -> tuple[int, str]:
            answer = ask(path, body, self.KEY, url=self.URL)
            assert isinstance(answer.json()["error"], str)
            return answer.status, answer.headers["edgewise-error"]

        given = json_input("image", pictures(1))
        assert code(f"{self.PATH}/infer", {"inputs": [{**given, "shape": [784]}]}) == (400, "shape_mismatch")
        assert code(f"{self.PATH}/infer", {"inputs": [{**given, "data": ["a"] * 784}]}) == (400, "invalid_request")
        assert code(f"{self.PATH}/infer", {"inputs": [{**given, "datatype": "BF16"}]}) == (400, "unsupported_datatype")
        assert code(f"{self.PATH}/versions/7/infer", {"inputs": [given]}) == (404, "version_not_found")
        assert code("/v2/models/nonesuch/infer", {"inputs": [given]}) == (404, "model_not_found")
        assert code("/v2/nowhere", {}) == (404, "not_found")

    def test_ends_a_request_that_has_no_time_left(self):
        late = {**self.KEY, "Edgewise-Timeout-Ms": "0"}
        answer = ask(f"{self.PATH}/infer", {"inputs": [json_input("image", pictures(1))]}, late, url=self.URL)
        assert (answer.status, answer.headers["edgewise-error"]) == (504, "deadline_exceeded")

    def test_reports_its_load_to_those_who_ask(self):
        headers = {**self.KEY, "endpoint-load-metrics-format": "json"}
        answer = ask(f"{self.PATH}/infer", {"inputs": [json_input("image", pictures(1))]}, headers, url=self.URL)
        kind, _, report = answer.headers["endpoint-load-metrics"].partition(" ")
        assert kind == "JSON"
        assert 0 <= json.loads(report)["application_utilization"] <= 1


@servers
class TestInfer:
    @pytest.mark.parametrize("batch", [1, 5, 64])
    def test_binary_tensors(self, client, native, server, batch):
        x = pictures(batch)
        result = client.infer(f"{server}/digits", [tensor("image", x)])
        assert "binary_data_size" in result.get_output("probabilities")["parameters"]
        agree(result.as_numpy("probabilities"), native(DIGITS, {"image": x})["probabilities"])

    @pytest.mark.parametrize("batch", [1, 5])
    def test_json(self, native, server, batch):
        x = pictures(batch)
        answer = ask(f"/v2/models/{server}%2Fdigits/infer", {"id": "a-1", "inputs": [json_input("image", x)]})
        body = answer.json()
        assert (answer.status, body["model_name"], body["model_version"]) == (200, f"{server}/digits", "1")
        assert body["id"] == "a-1"
        (output,) = body["outputs"]
        given = np.array(output["data"], np.float32).reshape(output["shape"])
        agree(given, native(DIGITS, {"image": x})["probabilities"])

    def test_says_where_it_was_answered(self, server):
        answer = ask(f"/v2/models/{server}%2Fdigits/infer", {"inputs": [json_input("image", pictures(1))]})
        assert answer.headers["edgewise-tier"] == "origin"
        assert answer.headers["edgewise-model"].startswith(f"{server}/digits@1; digest=sha256:")

    def test_chosen_outputs_and_their_best_classes(self, client, native, server):
        x = pictures(2)
        requested = [httpclient.InferRequestedOutput("probabilities", class_count=2)]
        classes = client.infer(f"{server}/digits", [tensor("image", x)], outputs=requested).as_numpy("probabilities")
        probabilities = native(DIGITS, {"image": x})["probabilities"]
        best = [[int(text.decode().split(":")[1]) for text in row] for row in classes]
        assert best == [list(np.argsort(-row)[:2]) for row in probabilities]

    @pytest.mark.parametrize(
        "array",
        [
            np.array([True, False, True]),
            np.array([np.iinfo(np.int64).min, -1, 2**53 + 1, np.iinfo(np.int64).max]),
            np.array([0, 128, 255], dtype=np.uint8),
            np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308]),
            np.array(["", "plain", "Grüße, 世界 🌍", "x" * 5000], dtype=np.object_),
        ],
        ids=["BOOL", "INT64", "UINT8", "FP64", "BYTES"],
    )
    def test_every_bit_comes_back(self, client, server, array):
        model = f"{server}/echo-{np_to_triton_dtype(array.dtype).lower()}"
        back = client.infer(model, [tensor("x", array)]).as_numpy("y")
        if array.dtype == np.object_:
            assert [text.decode() for text in back] == list(array)
        else:
            assert (back.dtype, back.tobytes()) == (array.dtype, array.tobytes())

    def test_halves_go_to_servers_that_take_binary(self, client, server):
        array = np.array([0.5, -2.0, 65504.0], dtype=np.float16)
        if server == "mlserver":
            with pytest.raises(InferenceServerException) as raised:
                client.infer(f"{server}/echo-fp16", [tensor("x", array)])
            assert raised.value.status() == "503"
        else:
            back = client.infer(f"{server}/echo-fp16", [tensor("x", array)]).as_numpy("y")
            assert back.tobytes() == array.tobytes()

    def test_many_in_flight(self, client, native, server):
        given = [pictures(1 + i % 3) for i in range(24)]
        pending = [client.async_infer(f"{server}/digits", [tensor("image", x)]) for x in given]
        for x, request in zip(given, pending, strict=True):
            answer = request.get_result(timeout=60).as_numpy("probabilities")
            agree(answer, native(DIGITS, {"image": x})["probabilities"])


class TestState:
    """A stateful model, one of whose inputs is a scalar."""

    @pytest.mark.parametrize("server", ["triton", "mlserver", "ray"])
    def test_goes_there_and_back_through_the_worker(self, client, native, server):
        self.hear(client, f"{server}/speech-detect", np.array(16000), native)

    def test_goes_to_triton_with_one_element_for_the_scalar(self, native):
        with httpclient.InferenceServerClient(SERVERS["triton"].removeprefix("http://")) as triton:
            self.hear(triton, "triton~speech-detect", np.array([16000]), native)

    def hear(self, client, model: str, rate: np.ndarray, native) -> None:
        path = MODELS / "speech-detect" / "1" / "model.onnx"
        with wave.open(str(Path(os.environ["EDGEWISE_FIXTURES"]) / "speech.wav")) as recording:
            pcm = np.frombuffer(recording.readframes(16000), dtype="<i2")
        samples = np.concatenate([np.zeros(64, np.float32), pcm.astype(np.float32) / 32768])
        ours = theirs = np.zeros((2, 1, 128), dtype=np.float32)
        for at in range(0, 8 * 512, 512):
            window = samples[np.newaxis, at : at + 576]
            given = [tensor("input", window), tensor("state", ours), tensor("sr", rate)]
            result = client.infer(model, given)
            expected = native(path, {"input": window, "state": theirs, "sr": rate.reshape(())})
            ours, theirs = result.as_numpy("stateN"), expected["stateN"]
            agree(result.as_numpy("output"), expected["output"])


@servers
class TestErrors:
    @pytest.mark.parametrize(
        ("given", "message"),
        [
            (tensor("picture", pictures(1)), "image"),
            (tensor("image", pictures(1)[..., :27]), "shape"),
            (tensor("image", pictures(65)), "64"),
            (tensor("image", pictures(1).astype(np.float64)), "FP64"),
        ],
        ids=["input name", "shape", "batch size", "datatype"],
    )
    def test_a_wrong_input_is_the_callers_fault(self, client, server, given, message):
        with pytest.raises(InferenceServerException) as raised:
            client.infer(f"{server}/digits", [given])
        assert raised.value.status() == "400"
        assert message in raised.value.message()

    def test_a_wrong_version_is_not_found(self, client, server):
        with pytest.raises(InferenceServerException) as raised:
            client.infer(f"{server}/digits", [tensor("image", pictures(1))], model_version="9")
        assert raised.value.status() == "404"

    def test_a_wrong_output_is_the_callers_fault(self, client, server):
        requested = [httpclient.InferRequestedOutput("nonesuch")]
        with pytest.raises(InferenceServerException, match="nonesuch") as raised:
            client.infer(f"{server}/digits", [tensor("image", pictures(1))], outputs=requested)
        assert raised.value.status() == "400"


class TestTheRepositoryOfTriton:
    """What `edgewise model pull --triton` wrote, as Triton itself understood it."""

    def test_holds_configuration_and_labels(self):
        config = ask("/v2/models/triton~digits/config", url=SERVERS["triton"]).json()
        assert (config["backend"], config["max_batch_size"]) == ("onnxruntime", 64)
        assert config["input"][0]["dims"] == [1, 28, 28]
        assert "dynamic_batching" in config
        address = SERVERS["triton"].removeprefix("http://")
        with httpclient.InferenceServerClient(address) as triton:
            requested = [httpclient.InferRequestedOutput("probabilities", class_count=1)]
            classes = triton.infer("triton~digits", [tensor("image", pictures(1))], outputs=requested)
        _, index, label = classes.as_numpy("probabilities")[0][0].decode().split(":")
        assert label == index  # Class n is the digit n.


@pytest.mark.parametrize("server", ["triton", "ray"])
class TestTheLargeModel:
    FEEDS = {
        "input_ids": np.array([[101, 1037, 2158, 2003, 5983, 2833, 1012, 102], [101, 7592, 102, 0, 0, 0, 0, 0]]),
        "attention_mask": np.array([[1] * 8, [1] * 3 + [0] * 5]),
        "token_type_ids": np.zeros((2, 8), dtype=np.int64),
    }
    HEADERS = {"Authorization": f"Bearer {os.environ['EDGEWISE_RAY_KEY']}"}

    def test_is_answered_as_onnx_runtime_does(self, native, server):
        """Asked at the server, so that each of the two answers."""
        name = "minilm-l6"
        address = SERVERS[server].removeprefix("http://")
        with httpclient.InferenceServerClient(address, network_timeout=120, connection_timeout=120) as there:
            given = [tensor(key, array) for key, array in self.FEEDS.items()]
            result = there.infer(name, given, headers=self.HEADERS)
        expected = native(LARGE / "1" / "model.onnx", self.FEEDS)["last_hidden_state"]
        np.testing.assert_allclose(result.as_numpy("last_hidden_state"), expected, rtol=1e-4, atol=1e-5)

    def test_through_the_worker_too(self, client, native, server):
        result = client.infer("minilm-l6", [tensor(key, array) for key, array in self.FEEDS.items()])
        expected = native(LARGE / "1" / "model.onnx", self.FEEDS)["last_hidden_state"]
        answer = result.as_numpy("last_hidden_state")
        assert answer.shape == (2, 8, 384)
        np.testing.assert_allclose(answer, expected, rtol=1e-4, atol=1e-5)


class TestTheEdge:
    def test_refuses_the_large_model(self, tmp_path):
        """By the command that a publisher types, without --origin; under a name that is not published yet."""
        config = json.loads((LARGE / "config.json").read_text("utf-8"))
        (tmp_path / "config.json").write_text(json.dumps({**config, "name": "minilm-edge"}), "utf-8")
        shutil.copy(LARGE / "LICENSE", tmp_path)
        (tmp_path / "1").mkdir()
        (tmp_path / "1" / "model.onnx").symlink_to(LARGE / "1" / "model.onnx")
        command = ["node", "bin/edgewise.js", "model", "push", str(tmp_path), "--url", WORKER]
        refused = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert refused.returncode == 1
        assert re.search(r"too large for the edge: it needs \d+\.\d MiB .* more than the edge has", refused.stderr)
        assert "code: too_large" in refused.stderr
        assert ask("/v2/models/minilm-edge").status == 404
