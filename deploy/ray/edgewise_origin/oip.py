"""The Open Inference Protocol v2: parses requests into arrays and encodes answers, in JSON and binary."""

import json
import struct
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .errors import OriginError
from .repository import Manifest, Tensor

DTYPES = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
# For each kind of datatype, the kinds that numpy may infer from its JSON data.
JSON_KINDS = {"b": "b", "u": "iu", "i": "iu", "f": "iuf"}

Arrays = dict[str, np.ndarray]


@dataclass
class Request:
    id: str | None
    feeds: Arrays
    """For each requested output, whether it is binary; if empty, all outputs are returned as `binary_output` says."""
    outputs: dict[str, bool] = field(default_factory=dict)
    binary_output: bool = False


def parse_request(body: bytes, header_length: str | None) -> Request:
    """`header_length` is the header Inference-Header-Content-Length, the bytes of JSON before the binary tensors."""
    length = len(body)
    if header_length is not None:
        if not header_length.isdecimal() or not 0 < int(header_length) <= len(body):
            raise invalid(f"Inference-Header-Content-Length is {header_length[:40]!r}; expected 1 to {len(body)}")
        length = int(header_length)
    try:
        document = json.loads(body[:length])
    except (ValueError, RecursionError) as error:
        raise invalid(f"the body is not JSON: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("inputs"), list):
        raise invalid('the body has no list "inputs"')
    binary = memoryview(body)[length:]
    feeds: Arrays = {}
    for entry in document["inputs"]:
        name, datatype, shape = input_header(entry)
        if name in feeds:
            raise invalid(f"input {name!r} is given twice")
        size = parameters(entry).get("binary_data_size")
        if size is None:
            feeds[name] = from_json(name, datatype, shape, entry.get("data"))
            continue
        if not isinstance(size, int) or not 0 <= size <= len(binary):
            raise invalid(f"input {name!r} has binary_data_size {size!r}, but {len(binary)} bytes are left")
        feeds[name] = from_binary(name, datatype, shape, binary[:size])
        binary = binary[size:]
    if len(binary) > 0:
        raise invalid(f"{len(binary)} bytes are left after the last input")
    identity = document.get("id")
    return Request(
        id=identity if isinstance(identity, str) else None,
        feeds=feeds,
        outputs=requested_outputs(document),
        binary_output=parameters(document).get("binary_data_output") is True,
    )


def input_header(entry: Any) -> tuple[str, str, tuple[int, ...]]:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
        raise invalid("an input has no name")
    name, datatype, shape = entry["name"][:256], entry.get("datatype"), entry.get("shape")
    if datatype not in DTYPES:
        raise OriginError("unsupported_datatype", f"input {name!r} has the datatype {str(datatype)[:40]!r}")
    if not isinstance(shape, list) or not all(type(size) is int and size >= 0 for size in shape):
        raise invalid(f"input {name!r} has no shape of whole numbers")
    return name, datatype, tuple(shape)


def requested_outputs(document: dict[str, Any]) -> dict[str, bool]:
    requested: dict[str, bool] = {}
    for entry in document.get("outputs") or []:
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            raise invalid("an output has no name")
        if "classification" in parameters(entry):
            raise invalid("classification is not supported here; request the tensor")
        requested[entry["name"]] = parameters(entry).get("binary_data") is True
    return requested


def parameters(entry: dict[str, Any]) -> dict[str, Any]:
    given = entry.get("parameters")
    return given if isinstance(given, dict) else {}


def from_json(name: str, datatype: str, shape: tuple[int, ...], data: Any) -> np.ndarray:
    """`data` may be nested as the shape says, or flat."""
    dtype = np.dtype(DTYPES[datatype])
    if not isinstance(data, list):
        raise invalid(f"input {name!r} has no list of data")
    try:
        # Converted from the list with this dtype, so that numpy refuses whole numbers that do not fit.
        array = np.array(data, dtype=dtype).reshape(shape)
        if datatype == "BYTES":
            right = all(isinstance(element, str) for element in array.flat)
        else:
            right = array.size == 0 or is_json_of(dtype, data)
    except (ValueError, OverflowError, TypeError):
        right = False
    if not right:
        raise invalid(f"input {name!r} has data that is not {datatype} of shape {list(shape)}")
    return array


def is_json_of(dtype: np.dtype, data: list) -> bool:
    kind = np.array(data).dtype.kind
    if dtype.kind in "iu" and kind in "fO":
        # Whole numbers that fit no single numpy integer, or fractions.
        return all(type(element) is int for element in np.array(data, dtype=np.object_).flat)
    return kind in JSON_KINDS[dtype.kind]


def from_binary(name: str, datatype: str, shape: tuple[int, ...], data: memoryview) -> np.ndarray:
    count = 1
    for size in shape:
        count *= size
    if datatype == "BYTES":
        elements = list(split_elements(name, data))
        if len(elements) != count:
            raise invalid(f"input {name!r} has {len(elements)} elements; its shape has {count}")
        array = np.empty(count, dtype=np.object_)
        array[:] = elements
        return array.reshape(shape)
    dtype = np.dtype(DTYPES[datatype]).newbyteorder("<")
    if len(data) != count * dtype.itemsize:
        raise invalid(f"input {name!r} has {len(data)} bytes; its shape and datatype have {count * dtype.itemsize}")
    return np.frombuffer(data, dtype=dtype).reshape(shape)


def split_elements(name: str, data: memoryview):
    at = 0
    while at < len(data):
        if at + 4 > len(data):
            raise invalid(f"input {name!r} ends in the middle of a length")
        (length,) = struct.unpack_from("<I", data, at)
        at += 4
        if at + length > len(data):
            raise invalid(f"input {name!r} ends in the middle of an element")
        try:
            yield str(data[at : at + length], "utf-8")
        except UnicodeDecodeError:
            raise invalid(f"input {name!r} has an element that is not UTF-8") from None
        at += length


def check_feeds(manifest: Manifest, feeds: Arrays) -> None:
    """Checks arrays against the model, because an invalid request must not share a batch with others."""
    label = f"{manifest.name}@{manifest.version}"
    for spec in manifest.inputs:
        array = feeds.get(spec.name)
        if array is None:
            raise invalid(f"input {spec.name!r} of {label} is missing")
        if array.dtype.newbyteorder("=") != np.dtype(DTYPES.get(spec.datatype, np.void)):
            raise OriginError("unsupported_datatype", f"input {spec.name!r} of {label} is {spec.datatype}")
        if not fits(spec, array.shape):
            raise OriginError(
                "shape_mismatch",
                f"input {spec.name!r} of {label} has the shape {list(array.shape)}; expected {list(spec.shape)}",
            )
    unknown = next((name for name in feeds if all(name != spec.name for spec in manifest.inputs)), None)
    if unknown is not None:
        raise invalid(f"{label} has no input {unknown!r}")
    if manifest.max_batch_size > 0:
        batches = {array.shape[0] for array in feeds.values()}
        if len(batches) != 1 or not 1 <= max(batches) <= manifest.max_batch_size:
            raise OriginError(
                "shape_mismatch",
                f"the batch of {label} is {', '.join(map(str, sorted(batches)))}; "
                f"expected one number from 1 to {manifest.max_batch_size}",
            )


def fits(spec: Tensor, shape: tuple[int, ...]) -> bool:
    return len(shape) == len(spec.shape) and all(
        expected in (-1, size) for expected, size in zip(spec.shape, shape, strict=True)
    )


def check_outputs(manifest: Manifest, requested: dict[str, bool]) -> list[str]:
    """Returns the names of the outputs to compute."""
    known = [spec.name for spec in manifest.outputs]
    unknown = next((name for name in requested if name not in known), None)
    if unknown is not None:
        raise invalid(f"{manifest.name}@{manifest.version} has no output {unknown[:256]!r}")
    return list(requested) or known


def encode_response(manifest: Manifest, request: Request, fetches: Arrays) -> tuple[bytes, dict[str, str]]:
    """Returns the body and its headers."""
    datatypes = {spec.name: spec.datatype for spec in manifest.outputs}
    outputs: list[dict[str, Any]] = []
    blocks: list[bytes] = []
    for name, array in fetches.items():
        entry = {"name": name, "datatype": datatypes[name], "shape": list(array.shape)}
        if request.outputs.get(name, request.binary_output):
            block = to_binary(array)
            entry["parameters"] = {"binary_data_size": len(block)}
            blocks.append(block)
        else:
            entry["data"] = array.ravel().tolist()
        outputs.append(entry)
    document = {"model_name": manifest.name, "model_version": manifest.version, "outputs": outputs}
    if request.id is not None:
        document["id"] = request.id
    try:
        text = json.dumps(document, separators=(",", ":"), allow_nan=False).encode()
    except ValueError:
        raise invalid("an output is not finite, which JSON cannot represent; request binary outputs") from None
    if not blocks:
        return text, {"Content-Type": "application/json"}
    headers = {"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(text))}
    return b"".join([text, *blocks]), headers


def to_binary(array: np.ndarray) -> bytes:
    if array.dtype == np.object_:
        elements = [str(element).encode() for element in array.ravel()]
        return b"".join(struct.pack("<I", len(element)) + element for element in elements)
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).tobytes()


def invalid(message: str) -> OriginError:
    return OriginError("invalid_request", message)
