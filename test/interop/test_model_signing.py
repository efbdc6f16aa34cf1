"""OpenSSF Model Signing both ways: the reference implementation verifies what edgewise signed, and edgewise what it signed."""

import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing, verifying

KEYS = Path(os.environ["EDGEWISE_PUBLISHER_KEYS"])
COMMAND = json.loads(os.environ["EDGEWISE_COMMAND"])
URL = os.environ["EDGEWISE_URL"]
CURVES = ["p256", "p384", "p521"]
# Their weights stand in a file of their own; those of the echo models do not.
SAMPLES = ["digits", "mlp", "ocr-angle"]


def edgewise(*args: object) -> subprocess.CompletedProcess:
    return subprocess.run([*COMMAND, *map(str, args)], capture_output=True, text=True, check=False)


def reference(*args: object) -> subprocess.CompletedProcess:
    """Its command line, as a user has it: slow to start, so most tests call what it calls."""
    command = [sys.executable, "-m", "model_signing", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def hashing_beside(signature: Path) -> hashing.Config:
    return hashing.Config().set_ignored_paths(paths=[signature], ignore_git_paths=True)


def pull(model: str, folder: Path) -> Path:
    pulled = edgewise("model", "pull", model, "--out", folder)
    assert pulled.returncode == 0, pulled.stderr
    return folder


def reference_verifies(folder: Path, public_key: Path) -> bool:
    signature = folder / "model.sig"
    verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
    try:
        verifier.set_hashing_config(hashing_beside(signature)).verify(folder, signature)
    except (ValueError, InvalidSignature):
        return False
    return True


def reference_signs(folder: Path, private_key: Path) -> None:
    signature = folder / "model.sig"
    signature.unlink()
    signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
    signer.set_hashing_config(hashing_beside(signature)).sign(folder, signature)


def edgewise_verifies(folder: Path, public_key: Path) -> bool:
    verified = edgewise("model", "verify", "--folder", folder, "--key", public_key)
    assert verified.returncode == 0 or "signature_invalid" in verified.stderr, verified.stderr
    return verified.returncode == 0


@pytest.fixture(scope="session")
def local_key(tmp_path_factory) -> Path:
    """Of the publisher that the samples are signed by."""
    trusted = {each["name"]: each["key"] for each in json.loads(os.environ["EDGEWISE_TRUSTED_PUBLISHERS"])}
    path = tmp_path_factory.mktemp("local") / "local.pub.pem"
    path.write_text(trusted["local"])
    return path


def spoil(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def tamper(folder: Path, how: str) -> None:
    if how == "an extra file":
        (folder / "extra.txt").write_text("more")
    elif how == "an extra folder":
        (folder / "sub").mkdir()
        (folder / "sub" / "extra.txt").write_text("more")
    elif how == "a link":
        (folder / "LICENSE").rename(folder.parent / "LICENSE")
        (folder / "LICENSE").symlink_to(folder.parent / "LICENSE")
    elif how == "a missing licence":
        (folder / "LICENSE").unlink()
    else:
        spoil(folder / how)


HOW = ["model.onnx", "weights.bin", "LICENSE", "an extra file", "an extra folder", "a link", "a missing licence"]


class TestSignedByEdgewise:
    @pytest.mark.parametrize("model", SAMPLES)
    def test_samples_as_pulled(self, model, tmp_path, local_key):
        folder = pull(model, tmp_path / "model")
        assert reference_verifies(folder, local_key)
        assert edgewise_verifies(folder, local_key)

    def test_with_its_command_line(self, tmp_path, local_key):
        folder = pull("digits", tmp_path / "model")
        arguments = ["verify", "key", folder, "--signature", folder / "model.sig", "--public_key", local_key]
        assert "Verification succeeded" in reference(*arguments).stdout
        spoil(folder / "weights.bin")
        assert reference(*arguments).returncode != 0

    @pytest.mark.parametrize("curve", CURVES)
    def test_curves(self, curve, tmp_path):
        folder = pull(f"signed/{curve}", tmp_path / "model")
        assert sorted(path.name for path in folder.iterdir()) == ["LICENSE", "manifest.json", "model.onnx", "model.sig"]
        for key in CURVES:
            assert reference_verifies(folder, KEYS / f"{key}.pub.pem") == (key == curve)
            assert edgewise_verifies(folder, KEYS / f"{key}.pub.pem") == (key == curve)

    @pytest.mark.parametrize("how", ["manifest.json", *HOW])
    def test_tampered(self, how, tmp_path, local_key):
        folder = pull("digits", tmp_path / "model")
        tamper(folder, how)
        assert not reference_verifies(folder, local_key)


class TestSignedByTheReference:
    @pytest.mark.parametrize("curve", CURVES)
    def test_curves(self, curve, tmp_path):
        folder = pull("digits", tmp_path / "model")
        reference_signs(folder, KEYS / f"{curve}.pem")
        for key in CURVES:
            assert edgewise_verifies(folder, KEYS / f"{key}.pub.pem") == (key == curve)

    @pytest.mark.parametrize("how", HOW)
    def test_tampered(self, how, tmp_path):
        folder = pull("digits", tmp_path / "model")
        reference_signs(folder, KEYS / "p384.pem")
        tamper(folder, how)
        assert not edgewise_verifies(folder, KEYS / "p384.pub.pem")

    @pytest.mark.parametrize("arguments", [["--allow_symlinks"], ["--ignore-paths", "extra.txt"]])
    def test_looser_than_edgewise_takes(self, arguments, tmp_path):
        folder = pull("digits", tmp_path / "model")
        (folder / "model.sig").unlink()
        signature = folder / "model.sig"
        key = KEYS / "p256.pem"
        ignored = folder / "extra.txt"
        ignored.write_text("not signed")
        arguments = [str(ignored) if argument == "extra.txt" else argument for argument in arguments]
        if "--allow_symlinks" in arguments:
            ignored.unlink()
        signed = reference("sign", "key", folder, "--private_key", key, "--signature", signature, *arguments)
        assert signed.returncode == 0, signed.stderr
        ignored.unlink(missing_ok=True)
        assert not edgewise_verifies(folder, KEYS / "p256.pub.pem")

    def test_sharded(self, tmp_path):
        folder = pull("digits", tmp_path / "model")
        signature = folder / "model.sig"
        signature.unlink()
        signer = signing.Config().use_elliptic_key_signer(private_key=KEYS / "p256.pem")
        signer.set_hashing_config(hashing_beside(signature).use_shard_serialization()).sign(folder, signature)
        assert not edgewise_verifies(folder, KEYS / "p256.pub.pem")


class TestPublishing:
    """A version that the reference signed, published over the admin routes with its `model.sig`."""

    def send(self, method: str, path: str, admin, body: bytes | None = None) -> int:
        request = urllib.request.Request(f"{URL}{path}", data=body, headers=admin, method=method)
        try:
            with urllib.request.urlopen(request) as answer:
                return answer.status
        except urllib.error.HTTPError as error:
            return error.code

    def publish(self, folder: Path, admin) -> int:
        for name in ["model.onnx", "LICENSE"]:
            content = (folder / name).read_bytes()
            digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
            assert self.send("PUT", f"/admin/blobs/{digest}", admin, content) in (200, 201)
        manifest = json.loads((folder / "manifest.json").read_text())
        body = {"manifest": manifest, "signature": (folder / "model.sig").read_text()}
        return self.send("PUT", "/admin/models/acme%2Fecho/versions/1", admin, json.dumps(body).encode())

    @pytest.fixture
    def folder(self, tmp_path, admin) -> Path:
        folder = pull("acme/echo", tmp_path / "model")
        assert self.send("DELETE", "/admin/models/acme%2Fecho", admin) == 200
        original = (folder / "model.sig").read_bytes()
        yield folder
        self.send("DELETE", "/admin/models/acme%2Fecho", admin)
        (folder / "model.sig").write_bytes(original)
        assert self.publish(folder, admin) == 201

    @pytest.mark.parametrize("curve", CURVES)
    def test_is_served(self, curve, folder, admin):
        reference_signs(folder, KEYS / f"{curve}.pem")
        assert self.publish(folder, admin) == 201
        body = {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2], "data": [0.5, -2]}]}
        path = "/v2/models/acme%2Fecho/infer"
        request = urllib.request.Request(f"{URL}{path}", data=json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request) as answer:
            assert json.loads(answer.read())["outputs"][0]["data"] == [0.5, -2]

    def test_of_a_stranger_is_refused(self, folder, tmp_path, admin):
        key = ec.generate_private_key(ec.SECP384R1())
        path = tmp_path / "stranger.pem"
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.TraditionalOpenSSL,
                serialization.NoEncryption(),
            )
        )
        reference_signs(folder, path)
        assert self.publish(folder, admin) == 403

    def test_of_other_files_is_refused(self, folder, admin):
        spoil(folder / "model.onnx")
        reference_signs(folder, KEYS / "p256.pem")
        assert self.publish(folder, admin) == 400
