#!/bin/sh
# Keeps an answer with its headers, then checks its receipt against the server's public keys and transparency log.
# Run it from the root of the checkout.
set -eu
url=${EDGEWISE_URL:-http://localhost:8787}/v2/models/mlp/infer
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

echo '{"inputs":[{"name":"input","datatype":"FP32","shape":[1,10],"data":[1,2,3,4,5,6,7,8,9,10]}]}' > "$folder/request.json"
curl --silent --show-error --fail-with-body -D "$folder/headers.txt" -o "$folder/answer.json" "$url" -d "@$folder/request.json"
npm run -s edgewise -- receipt verify --url "$url" \
  --headers "$folder/headers.txt" --answer "$folder/answer.json" --request "$folder/request.json"
