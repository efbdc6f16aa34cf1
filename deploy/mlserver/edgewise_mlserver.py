"""A runtime for MLServer that serves a version pulled by `edgewise model pull` with ONNX Runtime.

Put a model-settings.json beside the pulled model.onnx and manifest.json:

    {"name": "digits", "implementation": "edgewise_mlserver.OnnxModel", "parameters": {"uri": ".", "version": "1"}}
"""

import asyncio
import json
from pathlib import Path

import numpy as np
import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec, StringCodec
from mlserver.errors import InferenceError
from mlserver.types import InferenceRequest, InferenceResponse, MetadataTensor, RequestInput, ResponseOutput
from mlserver.utils import get_model_uri
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidArgument


class OnnxModel(MLModel):
    async def load(self) -> bool:
        # Relative to the settings file, not to the working directory.
        folder = Path(await get_model_uri(self.settings))
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        self._specs = {spec["name"]: spec for spec in manifest["inputs"]}
        self._session = await asyncio.to_thread(onnxruntime.InferenceSession, str(folder / "model.onnx"))
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.inputs = [MetadataTensor(**spec) for spec in manifest["inputs"]]
        self.outputs = [MetadataTensor(**spec) for spec in manifest["outputs"]]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        # MLServer answers InferenceError with 400 and its text, and other exceptions with a bare 500.
        feeds = {given.name: self._feed(given) for given in payload.inputs}
        missing = self._specs.keys() - feeds.keys()
        if missing:
            raise InferenceError(f"inputs are missing: {', '.join(sorted(missing))}")
        requested = [output.name for output in payload.outputs or []] or self._outputs
        unknown = set(requested) - set(self._outputs)
        if unknown:
            raise InferenceError(f"unknown outputs: {', '.join(sorted(unknown))}")
        try:
            arrays = await asyncio.to_thread(self._session.run, requested, feeds)
        except InvalidArgument as error:
            raise InferenceError("the model does not accept these inputs") from error
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[encode(name, array) for name, array in zip(requested, arrays, strict=True)],
        )

    def _feed(self, given: RequestInput) -> np.ndarray:
        spec = self._specs.get(given.name)
        if spec is None:
            raise InferenceError(f"unknown input {given.name}")
        if given.datatype != spec["datatype"]:
            raise InferenceError(f"input {given.name} is {given.datatype}; expected {spec['datatype']}")
        try:
            if given.datatype == "BYTES":
                return np.array(StringCodec.decode_input(given), dtype=np.object_).reshape(given.shape)
            return NumpyCodec.decode_input(given)
        except (ValueError, TypeError, OverflowError) as error:
            raise InferenceError(f"the data of input {given.name} does not match its shape and datatype") from error


def encode(name: str, array: np.ndarray) -> ResponseOutput:
    if array.dtype == np.object_:
        output = StringCodec.encode_output(name, [str(element) for element in array.ravel()])
    else:
        output = NumpyCodec.encode_output(name, array)
    # The codecs turn one-dimensional arrays into columns.
    output.shape = list(array.shape)
    return output
