#!/bin/sh
# Publishes an ONNX file as the model `my-model` and prints its inputs and outputs.
# Run it from the root of the checkout: sh examples/own-model.sh model.onnx
set -eu
file=$1
url=${EDGEWISE_URL:-http://localhost:8787}
folder=$(mktemp -d)
trap 'rm -r "$folder"' EXIT

npm run -s edgewise -- model init "$file" --name my-model --folder "$folder/my-model" \
  --open --licence MIT --creator "Me" --training-data "None: an example."
npm run -s edgewise -- model push "$folder/my-model" --alias stable --url "$url"
curl --silent --show-error --fail-with-body "$url/v2/models/my-model"
