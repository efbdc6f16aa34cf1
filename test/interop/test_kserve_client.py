"""KServe's Python client, as it comes from the package registry: `kserve`."""

import asyncio
import os

import numpy as np
import pytest

# Not published for Python 3.14 and later.
pytest.importorskip("kserve")
import httpx  # noqa: E402
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig  # noqa: E402

URL = os.environ["EDGEWISE_URL"]
rng = np.random.default_rng(2)


def ask(question):
    """`question(client)` is awaited."""

    async def run():
        async with InferenceRESTClient(RESTConfig(protocol="v2")) as client:
            return await question(client)

    return asyncio.run(run())


@pytest.mark.parametrize("binary_out", [None, True, False], ids=["defaults", "binary out", "JSON out"])
@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "JSON in"])
def test_infer(native, agree, binary_in, binary_out):
    # Faint noise: the model is not sure of it, so its probabilities say something.
    image = rng.random((2, 1, 28, 28), dtype=np.float32) * np.float32(0.1)
    given = InferInput("image", list(image.shape), "FP32")
    given.set_data_from_numpy(image, binary_data=binary_in)
    parameters = None if binary_out is None else {"binary_data_output": binary_out}
    request = InferRequest("digits", [given], request_id="k-1", parameters=parameters)
    response = ask(lambda client: client.infer(URL, request, model_name="digits"))
    assert (response.id, response.model_name) == ("k-1", "digits")
    assert [output.name for output in response.outputs] == ["probabilities"]
    for output in response.outputs:
        agree("digits", output.as_numpy(), native("digits", {"image": image})[output.name])


def test_a_name_with_an_organisation_is_percent_encoded():
    given = InferInput("x", [3], "FP32")
    given.set_data_from_numpy(np.arange(3, dtype=np.float32), binary_data=True)
    request = InferRequest("acme/echo", [given])
    response = ask(lambda client: client.infer(URL, request, model_name="acme%2Fecho"))
    assert response.model_name == "acme/echo"
    np.testing.assert_array_equal(response.outputs[0].as_numpy(), np.arange(3))


def test_health():
    assert ask(lambda client: client.is_server_live(URL))
    assert ask(lambda client: client.is_server_ready(URL))
    assert ask(lambda client: client.is_model_ready(URL, "digits"))
    assert not ask(lambda client: client.is_model_ready(URL, "nonesuch"))


def test_an_error_carries_our_message():
    given = InferInput("image", [1, 2], "FP32")
    given.set_data_from_numpy(np.zeros((1, 2), np.float32), binary_data=True)
    with pytest.raises(httpx.HTTPStatusError, match="shape") as raised:
        ask(lambda client: client.infer(URL, InferRequest("digits", [given]), model_name="digits"))
    assert raised.value.response.status_code == 400
