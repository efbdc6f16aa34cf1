"""Sends two rows to the model `mlp` as binary tensors and prints the rows of the answer."""

import json
import os
import struct
import urllib.request

url = os.environ.get("EDGEWISE_URL", "http://localhost:8787")
rows = [[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0], [0.0] * 10]

# The JSON comes first, the bytes of each tensor follow; a header says where the JSON ends.
tensor = struct.pack("<20f", *rows[0], *rows[1])
head = json.dumps(
    {
        "inputs": [
            {"name": "input", "datatype": "FP32", "shape": [2, 10], "parameters": {"binary_data_size": len(tensor)}}
        ],
        "parameters": {"binary_data_output": True},
    }
).encode()
request = urllib.request.Request(
    f"{url}/v2/models/mlp/infer",
    data=head + tensor,
    headers={"Content-Type": "application/octet-stream", "Inference-Header-Content-Length": str(len(head))},
)

with urllib.request.urlopen(request) as response:
    body = response.read()
    end = int(response.headers["Inference-Header-Content-Length"])
output = json.loads(body[:end])["outputs"][0]
values = struct.unpack(f"<{output['shape'][0] * output['shape'][1]}f", body[end:])
width = output["shape"][1]
for start in range(0, len(values), width):
    print([round(value, 3) for value in values[start : start + width]])
