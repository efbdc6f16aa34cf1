"""Triton's Python client, as it comes from the package registry: `tritonclient[http]`."""

import asyncio
import urllib.request
import wave

import numpy as np
import pytest
import tritonclient.http as httpclient
import tritonclient.http.aio as aioclient
from conftest import FIXTURES
from tritonclient.utils import InferenceServerException

rng = np.random.default_rng(1)


def tensor(name: str, array: np.ndarray, datatype: str = "FP32", binary: bool = True):
    given = httpclient.InferInput(name, list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary)
    return given


def random(*shape: int) -> np.ndarray:
    return rng.standard_normal(shape, dtype=np.float32)


@pytest.fixture(scope="session")
def mlp(client):
    """Names of the one input and the one output."""
    metadata = client.get_model_metadata("mlp")
    return metadata["inputs"][0]["name"], metadata["outputs"][0]["name"]


class TestControl:
    def test_server_is_live_and_ready(self, client):
        assert client.is_server_live()
        assert client.is_server_ready()

    def test_server_metadata_lists_binary_tensors(self, client):
        metadata = client.get_server_metadata()
        assert metadata["name"] == "edgewise"
        assert {"binary_tensor_data", "classification", "statistics"} <= set(metadata["extensions"])

    def test_model_is_ready_by_name_version_and_alias(self, client):
        assert client.is_model_ready("mlp")
        assert client.is_model_ready("mlp", "1")
        assert client.is_model_ready("mlp", "stable")
        assert not client.is_model_ready("mlp", "7")
        assert not client.is_model_ready("nonesuch")

    def test_model_metadata(self, client):
        metadata = client.get_model_metadata("speech-detect", "1")
        assert metadata["platform"] == "onnx_onnxv1"
        assert metadata["versions"] == ["1"]
        assert {i["name"]: (i["datatype"], i["shape"]) for i in metadata["inputs"]} == {
            "input": ("FP32", [-1, -1]),
            "state": ("FP32", [2, -1, 128]),
            "sr": ("INT64", []),
        }

    def test_model_config(self, client):
        config = client.get_model_config("digits")
        assert config["max_batch_size"] == 64
        (image,) = config["input"]
        assert (image["name"], image["data_type"], image["dims"]) == ("image", "TYPE_FP32", [1, 28, 28])
        # Clients read it of every input without asking whether it is there.
        assert image["optional"] is False

    def test_repository_index(self, client):
        index = client.get_model_repository_index()
        assert {"name": "mlp", "version": "1", "state": "READY", "reason": ""} in index

    def test_statistics_count_an_inference(self, client, mlp):
        def count() -> int:
            (statistics,) = client.get_inference_statistics("mlp")["model_stats"]
            return statistics["inference_count"]

        client.infer("mlp", [tensor(mlp[0], random(1, 10))])
        before = count()
        client.infer("mlp", [tensor(mlp[0], random(3, 10))])
        assert count() == before + 3
        assert "mlp" in {entry["name"] for entry in client.get_inference_statistics()["model_stats"]}

    def test_unload_and_load_want_the_admin_key(self, client, admin):
        with pytest.raises(InferenceServerException, match="admin key") as refused:
            client.unload_model("digits")
        assert refused.value.status() == "401"
        client.unload_model("digits", headers=admin)
        try:
            assert not client.is_model_ready("digits")
            with pytest.raises(InferenceServerException, match="digits is unloaded") as unloaded:
                client.infer("digits", [tensor("image", random(1, 1, 28, 28))])
            assert unloaded.value.status() == "503"
            states = {e["name"]: e["state"] for e in client.get_model_repository_index()}
            assert states["digits"] == "UNAVAILABLE"
        finally:
            client.load_model("digits", headers=admin)
        assert client.is_model_ready("digits")

    def test_load_with_a_config_is_refused(self, client, admin):
        with pytest.raises(InferenceServerException, match="config"):
            client.load_model("mlp", headers=admin, config="{}")


class TestInfer:
    @pytest.mark.parametrize("batch", [1, 5])
    def test_defaults_are_binary_both_ways(self, client, mlp, native, agree, batch):
        x = random(batch, 10)
        result = client.infer("mlp", [tensor(mlp[0], x)])
        assert result.get_output(mlp[1])["parameters"]["binary_data_size"] == 4 * batch * 10
        agree("mlp", result.as_numpy(mlp[1]), native("mlp", {mlp[0]: x})[mlp[1]])

    def test_json_both_ways_gives_the_same_bits(self, client, mlp):
        x = random(4, 10)
        binary = client.infer("mlp", [tensor(mlp[0], x)])
        requested = httpclient.InferRequestedOutput(mlp[1], binary_data=False)
        json = client.infer("mlp", [tensor(mlp[0], x, binary=False)], outputs=[requested])
        assert "data" in json.get_output(mlp[1])
        assert json.as_numpy(mlp[1]).tobytes() == binary.as_numpy(mlp[1]).tobytes()

    @pytest.mark.parametrize(("binary_in", "binary_out"), [(True, False), (False, True)])
    def test_json_one_way(self, client, mlp, native, agree, binary_in, binary_out):
        x = random(2, 10)
        requested = httpclient.InferRequestedOutput(mlp[1], binary_data=binary_out)
        result = client.infer("mlp", [tensor(mlp[0], x, binary=binary_in)], outputs=[requested])
        agree("mlp", result.as_numpy(mlp[1]), native("mlp", {mlp[0]: x})[mlp[1]])

    def test_id_and_version_come_back(self, client, mlp):
        given = [tensor(mlp[0], random(1, 10))]
        response = client.infer("mlp", given, model_version="1", request_id="a-7 ü").get_response()
        assert response["id"] == "a-7 ü"
        assert (response["model_name"], response["model_version"]) == ("mlp", "1")
        assert client.infer("mlp", given, model_version="stable").get_response()["model_version"] == "1"
        assert "id" not in client.infer("mlp", given).get_response()

    @pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
    def test_compression(self, client, native, agree, algorithm):
        x = random(1, 3, 48, 192)
        result = client.infer(
            "ocr-angle",
            [tensor("x", x)],
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        expected = native("ocr-angle", {"x": x})
        for name, array in expected.items():
            agree("ocr-angle", result.as_numpy(name), array)

    def test_classification_gives_the_best_classes(self, client, native):
        x = np.abs(random(2, 1, 28, 28))
        (output,) = native("digits", {"image": x})
        requested = httpclient.InferRequestedOutput(output, class_count=3)
        classes = client.infer("digits", [tensor("image", x)], outputs=[requested]).as_numpy(output)
        probabilities = native("digits", {"image": x})[output]
        assert classes.shape == (2, 3)
        for row, best in zip(probabilities, classes, strict=True):
            values, indices, labels = zip(*(text.decode().split(":") for text in best), strict=True)
            assert [int(i) for i in indices] == list(np.argsort(-row)[:3])
            assert labels == indices  # Class n is the digit n.
            np.testing.assert_allclose([float(v) for v in values], np.sort(row)[::-1][:3], atol=1e-5)

    def test_query_headers_and_custom_parameters_do_no_harm(self, client, mlp, native, agree):
        x = random(1, 10)
        result = client.infer(
            "mlp",
            [tensor(mlp[0], x)],
            query_params={"trace": "1"},
            headers={"X-Request-Id": "interop-1"},
            parameters={"mine": "yes", "count": 3},
            timeout=2_000_000,
            priority=1,
        )
        agree("mlp", result.as_numpy(mlp[1]), native("mlp", {mlp[0]: x})[mlp[1]])

    def test_state_is_passed_in_and_out(self, client, native, agree):
        """Both hear the recording from its beginning, each with the state of its own."""
        with wave.open(str(FIXTURES / "speech.wav")) as recording:
            pcm = np.frombuffer(recording.readframes(recording.getnframes()), dtype="<i2")
        samples = np.concatenate([np.zeros(64, np.float32), pcm.astype(np.float32) / 32768])
        rate = np.array(16000, dtype=np.int64)
        ours = theirs = np.zeros((2, 1, 128), dtype=np.float32)
        heard = []
        for at in range(0, len(pcm) - 511, 512):
            window = samples[np.newaxis, at : at + 576]
            result = client.infer(
                "speech-detect",
                [tensor("input", window), tensor("state", ours), tensor("sr", rate, "INT64")],
            )
            expected = native("speech-detect", {"input": window, "state": theirs, "sr": rate})
            ours, theirs = result.as_numpy("stateN"), expected["stateN"]
            agree("speech-detect", result.as_numpy("output"), expected["output"])
            heard.append(float(result.as_numpy("output")[0, 0]))
        assert max(heard) > 0.95
        assert max(heard[:14]) < 0.1  # Half a second of silence.

    def test_many_in_flight(self, client, mlp, native, agree):
        given = [random(1 + i % 3, 10) for i in range(32)]
        pending = [
            client.async_infer("mlp", [tensor(mlp[0], x)], request_id=str(i)) for i, x in enumerate(given)
        ]
        for i, (x, request) in enumerate(zip(given, pending, strict=True)):
            result = request.get_result(timeout=60)
            assert result.get_response()["id"] == str(i)
            agree("mlp", result.as_numpy(mlp[1]), native("mlp", {mlp[0]: x})[mlp[1]])

    def test_body_made_and_read_without_the_client(self, address, mlp, native, agree):
        x = random(2, 10)
        body, json_size = httpclient.InferenceServerClient.generate_request_body([tensor(mlp[0], x)])
        request = urllib.request.Request(
            f"http://{address}/v2/models/mlp/infer",
            data=body,
            headers={"Inference-Header-Content-Length": str(json_size)},
        )
        with urllib.request.urlopen(request) as answer:
            header_length = int(answer.headers["Inference-Header-Content-Length"])
            encoding = answer.headers.get("Content-Encoding")
            result = httpclient.InferenceServerClient.parse_response_body(
                answer.read(), header_length=header_length, content_encoding=encoding
            )
        agree("mlp", result.as_numpy(mlp[1]), native("mlp", {mlp[0]: x})[mlp[1]])

    def test_the_asyncio_client(self, address, mlp, native, agree):
        given = [random(1, 10) for _ in range(8)]
        # It asks for compressed answers by default and decompresses those of `infer` only (docs/clients.md).
        plain = {"Accept-Encoding": "identity"}

        async def ask() -> list:
            async with aioclient.InferenceServerClient(address) as client:
                assert await client.is_model_ready("mlp")
                assert (await client.get_server_metadata(headers=plain))["name"] == "edgewise"
                return await asyncio.gather(*(client.infer("mlp", [tensor(mlp[0], x)]) for x in given))

        for x, result in zip(given, asyncio.run(ask()), strict=True):
            agree("mlp", result.as_numpy(mlp[1]), native("mlp", {mlp[0]: x})[mlp[1]])


class TestErrors:
    """The client shows our message and our status."""

    @pytest.mark.parametrize(
        ("model", "version", "given", "status", "message"),
        [
            ("digits", "", tensor("image", random(1, 1, 28, 27)), "400", "shape"),
            ("digits", "", tensor("picture", random(1, 1, 28, 28)), "400", 'input "image" is missing'),
            ("digits", "", tensor("image", np.zeros((1, 1, 28, 28), np.float64), "FP64"), "400", "FP64"),
            ("digits", "", tensor("image", random(65, 1, 28, 28)), "400", "64"),
            ("digits", "9", tensor("image", random(1, 1, 28, 28)), "404", 'version "9" of model digits'),
            ("nonesuch", "", tensor("image", random(1, 1, 28, 28)), "404", 'no model "nonesuch"'),
        ],
        ids=["shape", "input name", "datatype", "batch size", "version", "model"],
    )
    def test_is_raised_for_a_wrong(self, client, model, version, given, status, message):
        with pytest.raises(InferenceServerException) as raised:
            client.infer(model, [given], model_version=version)
        assert raised.value.status() == status
        assert message in raised.value.message()

    def test_is_raised_for_an_unknown_output(self, client):
        requested = httpclient.InferRequestedOutput("nonesuch")
        with pytest.raises(InferenceServerException, match='"nonesuch"'):
            client.infer("digits", [tensor("image", random(1, 1, 28, 28))], outputs=[requested])

    def test_is_raised_for_an_unknown_key(self, client):
        with pytest.raises(InferenceServerException, match="is unknown") as raised:
            client.get_model_metadata("mlp", headers={"Authorization": "Bearer wrong"})
        assert raised.value.status() == "401"
