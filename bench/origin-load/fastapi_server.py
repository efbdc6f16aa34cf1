"""A hand-written server in the style of FastAPI's documentation: one process, a route that parses JSON and runs the session."""

import sys

import numpy
import onnxruntime
import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Tensor(BaseModel):
    name: str
    datatype: str
    shape: list[int]
    data: list[float]


class InferRequest(BaseModel):
    inputs: list[Tensor]


session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
app = FastAPI()


@app.post("/v2/models/mlp/infer")
async def infer(request: InferRequest):
    feeds = {
        each.name: numpy.array(each.data, dtype=numpy.float32).reshape(each.shape)
        for each in request.inputs
    }
    names = [output.name for output in session.get_outputs()]
    outputs = session.run(names, feeds)
    return {
        "model_name": "mlp",
        "outputs": [
            {"name": name, "datatype": "FP32", "shape": list(value.shape), "data": value.ravel().tolist()}
            for name, value in zip(names, outputs)
        ],
    }


uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[2]), log_level="warning")
