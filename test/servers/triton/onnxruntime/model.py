"""Stands in for Triton's ONNX Runtime back end, which the server's wheel does not carry: a Python-based back end of the
same name, so that the server reads the repository and its configuration as it would with the real one.
"""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils


class TritonPythonModel:
    @staticmethod
    def auto_complete_config(config):
        return config

    def initialize(self, args):
        config = json.loads(args["model_config"])
        file = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / file
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        self.ranks = {given.name: len(given.shape) for given in self.session.get_inputs()}

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        feeds = {tensor.name(): self.feed(tensor) for tensor in request.inputs()}
        requested = list(request.requested_output_names())
        try:
            arrays = self.session.run(requested, feeds)
        except Exception as error:
            return pb_utils.InferenceResponse(error=pb_utils.TritonError(str(error)))
        return pb_utils.InferenceResponse(
            [pb_utils.Tensor(name, fetched(array)) for name, array in zip(requested, arrays, strict=True)]
        )

    def feed(self, tensor):
        array = tensor.as_numpy()
        if array.dtype == np.object_:
            texts = [text.decode() for text in array.ravel()]
            array = np.array(texts, dtype=np.object_).reshape(array.shape)
        # Triton has no scalars: the model gets the one element as one, as the real back end gives it.
        return array.reshape(()) if self.ranks[tensor.name()] == 0 else array


def fetched(array):
    if array.dtype == np.object_:
        return np.array([text.encode() for text in array.ravel()], dtype=np.object_).reshape(array.shape)
    return array.reshape(1) if array.ndim == 0 else array
