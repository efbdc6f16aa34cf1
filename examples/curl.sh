#!/bin/sh
# Sends one request to the model `mlp` and prints the answer and the headers that describe it.
set -eu
url=${EDGEWISE_URL:-http://localhost:8787}

curl --silent --show-error --fail-with-body --dump-header - "$url/v2/models/mlp/infer" \
  -H 'Edgewise-Timeout-Ms: 5000' \
  -d '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,10],"data":[1,2,3,4,5,6,7,8,9,10]}]}'
