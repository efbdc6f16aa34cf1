"""A runtime for MLServer: a version that `edgewise model pull` wrote, on ONNX Runtime.

Beside the pulled model.onnx and manifest.json stands a model-settings.json:

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
        # Relative to the settings, not to where the server was started.
        folder = Path(await get_model_uri(self.settings))
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
        self._specs = {spec["name"]: spec for spec in manifest["inputs"]}
        self._session = await asyncio.to_thread(onnxruntime.InferenceSession, str(folder / "model.onnx"))
        self._outputs = [output.name for output in self._session.get_outputs()]
        self.inputs = [MetadataTensor(**spec) for spec in manifest["inputs"]]
        self.outputs = [MetadataTensor(**spec) for spec in manifest["outputs"]]
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        # MLServer answers other exceptions with 500 and no word of why; this one with 400 and its text.
        feeds = {given.name: self._feed(given) for given in payload.inputs}
        missing = self._specs.keys() - feeds.keys()
        if missing:
            raise InferenceError(f"inputs are missing: {', '.join(sorted(missing))}")
        wanted = [output.name for output in payload.outputs or []] or self._outputs
        unknown = set(wanted) - set(self._outputs)
        if unknown:
            raise InferenceError(f"there are no outputs {', '.join(sorted(unknown))}")
        try:
            arrays = await asyncio.to_thread(self._session.run, wanted, feeds)
        except InvalidArgument as error:
            raise InferenceError("the model does not accept these inputs") from error
        return InferenceResponse(
            id=payload.id,
            model_name=self.name,
            model_version=self.version,
            outputs=[encode(name, array) for name, array in zip(wanted, arrays, strict=True)],
        )

    def _feed(self, given: RequestInput) -> np.ndarray:
        spec = self._specs.get(given.name)
        if spec is None:
            raise InferenceError(f"there is no input {given.name}")
        if given.datatype != spec["datatype"]:
            raise InferenceError(f"input {given.name} is {given.datatype}, wanted {spec['datatype']}")
        try:
            if given.datatype == "BYTES":
                return np.array(StringCodec.decode_input(given), dtype=np.object_).reshape(given.shape)
            return NumpyCodec.decode_input(given)
        except (ValueError, TypeError, OverflowError) as error:
            raise InferenceError(f"input {given.name} has other data than its shape and datatype say") from error


def encode(name: str, array: np.ndarray) -> ResponseOutput:
    if array.dtype == np.object_:
        output = StringCodec.encode_output(name, [str(element) for element in array.ravel()])
    else:
        output = NumpyCodec.encode_output(name, array)
    # The codecs make a column of what has one dimension.
    output.shape = list(array.shape)
    return output
