#!/bin/sh
# Makes the vectors anew, with the reference tool: `pip install model-signing==1.1.1 pyOpenSSL`, OpenSSL 3.
# Signatures on elliptic curves differ each time, so new ones replace the old; the files and what is said of them stay.
set -eu
cd "$(dirname "$0")"
model=$(mktemp -d)
printf '{"vector":1}' >"$model/manifest.json"
printf 'graph' >"$model/model.onnx"
printf 'weights' >"$model/weights.bin"
printf 'licence\n' >"$model/LICENSE"
for curve in p256:prime256v1 p384:secp384r1 p521:secp521r1; do
  name=${curve%%:*}
  openssl ecparam -name "${curve#*:}" -genkey -noout -out "$model.pem"
  openssl ec -in "$model.pem" -pubout -out "$name.pub.pem" 2>/dev/null
  model_signing sign key "$model" --private_key "$model.pem" --signature "$model/model.sig"
  model_signing verify key "$model" --public_key "$name.pub.pem" --signature "$model/model.sig"
  mv "$model/model.sig" "$name.model.sig"
done
rm -r "$model" "$model.pem"
