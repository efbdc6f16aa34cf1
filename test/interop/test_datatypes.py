"""Every datatype of the protocol, there and back through a model that answers what it is given."""

import numpy as np
import pytest
import tritonclient.http as httpclient
from tritonclient.utils import InferenceServerException, np_to_triton_dtype


def bounds(dtype: type) -> np.ndarray:
    info = np.iinfo(dtype)
    return np.array([info.min, 0, 1, info.max], dtype=dtype)


NUMBERS = [
    np.array([True, False, True]),
    *(bounds(t) for t in (np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64)),
    np.array([0.1, -0.0, 1e-45, 3.4028235e38], dtype=np.float32),
    np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308], dtype=np.float64),
]
TEXTS = ["", "plain", "Grüße, 世界 🌍", "x" * 100_000]


def echo(client, array: np.ndarray, datatype: str, binary_in: bool, binary_out: bool):
    given = httpclient.InferInput("x", list(array.shape), datatype)
    given.set_data_from_numpy(array, binary_data=binary_in)
    requested = httpclient.InferRequestedOutput("y", binary_data=binary_out)
    return client.infer(f"echo-{datatype.lower()}", [given], outputs=[requested]).as_numpy("y")


@pytest.mark.parametrize("binary_out", [True, False], ids=["binary out", "JSON out"])
@pytest.mark.parametrize("binary_in", [True, False], ids=["binary in", "JSON in"])
class TestEcho:
    @pytest.mark.parametrize("array", NUMBERS, ids=lambda array: np_to_triton_dtype(array.dtype))
    def test_numbers_keep_every_bit(self, client, array, binary_in, binary_out):
        answer = echo(client, array, np_to_triton_dtype(array.dtype), binary_in, binary_out)
        assert answer.dtype == array.dtype
        assert answer.tobytes() == array.tobytes()

    def test_texts(self, client, binary_in, binary_out):
        array = np.array([text.encode() for text in TEXTS], dtype=np.object_)
        answer = echo(client, array, "BYTES", binary_in, binary_out)
        assert [t if isinstance(t, str) else t.decode() for t in answer] == TEXTS

    @pytest.mark.parametrize("datatype", ["FP32", "BYTES", "INT64"])
    def test_empty(self, client, datatype, binary_in, binary_out):
        dtype = {"FP32": np.float32, "BYTES": np.object_, "INT64": np.int64}[datatype]
        answer = echo(client, np.empty(0, dtype=dtype), datatype, binary_in, binary_out)
        assert answer is None or answer.shape == (0,)


class TestBinaryOnly:
    def test_half_floats_keep_every_bit(self, client):
        array = np.arange(65536, dtype=np.uint16).view(np.float16)
        assert echo(client, array, "FP16", True, True).tobytes() == array.tobytes()

    def test_half_floats_have_no_json_form(self, client):
        with pytest.raises(InferenceServerException, match="FP16") as raised:
            echo(client, np.ones(2, dtype=np.float16), "FP16", True, False)
        assert raised.value.status() == "400"

    def test_nan_and_infinities(self, client):
        array = np.array([np.nan, np.inf, -np.inf], dtype=np.float32)
        assert echo(client, array, "FP32", True, True).tobytes() == array.tobytes()

    @pytest.mark.parametrize(("text", "message"), [(b"\xff\xfe", "UTF-8"), (b"a\0b", r"U\+0000")])
    def test_bytes_that_the_engine_cannot_carry_are_refused(self, client, text, message):
        with pytest.raises(InferenceServerException, match=message) as raised:
            echo(client, np.array([text], dtype=np.object_), "BYTES", True, True)
        assert raised.value.status() == "400"
