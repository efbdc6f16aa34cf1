"""Reads published models from where Edgewise stores them (docs/storage.md), and checks every byte against its digest.

A model's index names the manifest of each version by digest. The manifest is a blob and names the blobs of the graph and
the weights, so only the index has to be trusted.
"""

import hashlib
import json
import logging
import re
import shutil
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

from .errors import OriginError

logger = logging.getLogger("ray.serve")

INDEX_MAX_AGE_SECONDS = 5
TOMBSTONE = "\0deleted"


class Source(Protocol):
    """The storage of a repository. Methods raise OSError if it cannot be reached."""

    def names(self) -> list[str]: ...

    def index(self, name: str) -> dict[str, Any] | None:
        """Returns the model's index, or None if there is none."""

    def blob(self, digest: str) -> bytes | None:
        """Returns the stored bytes, unchecked, or None if there are none."""


class FolderSource:
    """A folder in the layout of Edgewise's `fs` driver, local or shared."""

    def __init__(self, root: Path):
        self.root = root

    def names(self) -> list[str]:
        keys = (key_of_segment(entry.name) for entry in (self.root / "state").iterdir())
        return sorted(key[len("models/") : -len(".json")] for key in keys if key.startswith("models/"))

    def index(self, name: str) -> dict[str, Any] | None:
        key = f"models/{name}.json"
        folder = self.root / "state" / segment_of(key)
        if not folder.is_dir():
            # Earlier releases kept upper-case letters in the folder's name.
            folder = self.root / "state" / quote_component(key)
        while folder.is_dir():
            generations = sorted(entry.name for entry in folder.iterdir())
            if not generations:
                return None
            try:
                text = (folder / generations[-1]).read_text("utf-8")
            except FileNotFoundError:
                continue  # A writer has removed this old generation meanwhile.
            return None if text == TOMBSTONE else json.loads(text)
        return None

    def blob(self, digest: str) -> bytes | None:
        path = self.root / "blobs" / "sha256" / digest.removeprefix("sha256:")
        return path.read_bytes() if path.is_file() else None


def quote_component(text: str) -> str:
    """Encodes like JavaScript's encodeURIComponent."""
    return urllib.parse.quote(text, safe="!'()*~")


def segment_of(key: str) -> str:
    """Returns the folder name of a state key, as src/storage/fs-keys.ts does: in lower case, then `~` and one bit for each
    letter as hex digits, set for upper case."""
    bits = "".join("1" if letter.isupper() else "0" for letter in re.findall("[A-Za-z]", key))
    marks = "".join(f"{int(bits[at : at + 4].ljust(4, '0'), 2):x}" for at in range(0, len(bits), 4)).rstrip("0")
    encoded = quote_component(key.lower()).replace("~", "%7E")
    return f"{encoded}~{marks}" if marks else encoded


def key_of_segment(segment: str) -> str:
    encoded, _, marks = segment.partition("~")
    bits = "".join(f"{int(digit, 16):04b}" for digit in marks) if re.fullmatch("[0-9a-f]*", marks) else ""
    upper = iter(bits)
    return re.sub(
        "[A-Za-z]",
        lambda letter: letter[0].upper() if next(upper, "0") == "1" else letter[0],
        urllib.parse.unquote(encoded),
    )


class WorkerSource:
    """The admin routes of a worker."""

    def __init__(self, url: str, admin_key: str):
        self.url = url.rstrip("/")
        self.headers = {"Authorization": f"Bearer {admin_key}"}

    def names(self) -> list[str]:
        names: list[str] = []
        while True:
            # A page has at most 1000 models.
            after = f"?after={quote_component(names[-1])}" if names else ""
            answer = self._get(f"/admin/models{after}")
            page = [] if answer is None else [index["name"] for index in json.loads(answer)["models"]]
            names.extend(page)
            if len(page) < 1000:
                return names

    def index(self, name: str) -> dict[str, Any] | None:
        answer = self._get(f"/admin/models/{urllib.parse.quote(name, safe='')}")
        return None if answer is None else json.loads(answer)["index"]

    def blob(self, digest: str) -> bytes | None:
        return self._get(f"/admin/blobs/{urllib.parse.quote(digest, safe='')}")

    def _get(self, path: str) -> bytes | None:
        request = urllib.request.Request(self.url + path, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise


def source_of(place: str, admin_key: str) -> Source:
    """`place` is the address of a worker or the path of a folder."""
    if place.startswith(("http://", "https://")):
        if not admin_key:
            raise ValueError(f"the repository is the worker {place}: set EDGEWISE_ADMIN_KEY to its admin key")
        return WorkerSource(place, admin_key)
    root = Path(place)
    if not (root / "state").is_dir():
        raise ValueError(f"{root} is no model repository: it has no folder state/")
    return FolderSource(root)


@dataclass(frozen=True)
class Tensor:
    name: str
    datatype: str
    """-1 marks a free dimension."""
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Blob:
    digest: str
    byte_length: int


@dataclass(frozen=True)
class Manifest:
    """The part of a published version that an origin needs."""

    digest: str
    name: str
    version: str
    max_batch_size: int
    """True if requests may share a run, because the push measured that each row is answered by itself."""
    row_wise: bool
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    """The parts of model.onnx in order: one, or several chunks of a large graph."""
    graph: tuple[Blob, ...]
    """Name of the weights file that the graph refers to; None if all weights are in the graph."""
    weights_file: str | None
    chunks: tuple[Blob, ...]


def parse_manifest(digest: str, data: bytes) -> Manifest:
    document = json.loads(data)
    weights = document.get("weights")

    def tensors(key: str) -> tuple[Tensor, ...]:
        return tuple(Tensor(t["name"], t["datatype"], tuple(t["shape"])) for t in document[key])

    def blob(entry: dict[str, Any]) -> Blob:
        return Blob(entry["digest"], entry["byteLength"])

    return Manifest(
        digest=digest,
        name=document["name"],
        version=document["version"],
        max_batch_size=document["maxBatchSize"],
        row_wise=document.get("rowWise") is True,
        inputs=tensors("inputs"),
        outputs=tensors("outputs"),
        graph=tuple(blob(part) for part in document["graph"].get("chunks") or [document["graph"]]),
        # Only the last part, because it becomes a file name here.
        weights_file=None if weights is None else Path(weights["path"]).name,
        chunks=() if weights is None else tuple(blob(chunk) for chunk in weights["chunks"]),
    )


class Repository:
    """Reads a source and caches models in `cache`, which the replicas of a machine may share. Thread-safe."""

    def __init__(self, source: Source, cache: Path):
        self.source = source
        self.cache = cache
        self._indexes: dict[str, tuple[float, dict[str, Any] | None]] = {}
        self._lock = threading.Lock()
        self.manifest = lru_cache(maxsize=256)(self._read_manifest)

    def names(self) -> list[str]:
        try:
            return self.source.names()
        except OSError as error:
            raise self._unreadable("the list of models", error) from error

    def index(self, name: str) -> dict[str, Any]:
        """Returns a model's index, at most 5 s old; while the source is unreachable, the last one that was read."""
        with self._lock:
            age_began, index = self._indexes.get(name, (-INDEX_MAX_AGE_SECONDS, None))
        if time.monotonic() - age_began >= INDEX_MAX_AGE_SECONDS:
            try:
                index = self.source.index(name)
            except OSError as error:
                if index is None:
                    raise self._unreadable(f"the index of {name}", error) from error
                logger.warning("the index of %s cannot be read, using the last one: %s", name, error)
            with self._lock:
                if len(self._indexes) >= 1024:
                    self._indexes.clear()
                self._indexes[name] = (time.monotonic(), index)
        if index is None:
            raise OriginError("model_not_found", f"no model {json.dumps(name[:160])} is published here")
        return index

    def resolve(self, name: str, version: str | None) -> Manifest:
        """Resolves any published version, because the worker in front decides which versions are served."""
        index = self.index(name)
        if index.get("unloaded"):
            raise OriginError("model_not_ready", f"model {name} is unloaded")
        digests = {entry["version"]: entry["manifestDigest"] for entry in index["versions"]}
        aliases = index.get("aliases", {})
        requested = aliases.get("stable") or max(digests, key=int, default="") if version is None else version
        digest = digests.get(aliases.get(requested, requested))
        if digest is None:
            raise OriginError(
                "version_not_found",
                f"version {json.dumps(requested[:40])} of model {name} is not published; "
                f"published: {', '.join(sorted(digests, key=int)) or 'none'}",
            )
        return self.manifest(digest)

    def _read_manifest(self, digest: str) -> Manifest:
        return parse_manifest(digest, self._read_checked(digest, None, f"manifest {digest}"))

    def folder(self, manifest: Manifest) -> Path:
        """Returns the folder with the version's checked model.onnx and weights, fetching it if it is missing or damaged."""
        folder = self.cache / manifest.digest.removeprefix("sha256:")
        if folder.is_dir():
            if self._is_intact(folder, manifest):
                return folder
            logger.warning("%s is damaged and is fetched again", folder)
            shutil.rmtree(folder, ignore_errors=True)
        self.cache.mkdir(parents=True, exist_ok=True)
        partial = Path(tempfile.mkdtemp(prefix="partial-", dir=self.cache))
        try:
            for name, blobs in self._files(manifest):
                with (partial / name).open("xb") as file:
                    for blob in blobs:
                        what = f"a part of {manifest.name}@{manifest.version}"
                        file.write(self._read_checked(blob.digest, blob.byte_length, what))
            try:
                partial.rename(folder)
            except OSError:
                # Another replica has written the folder meanwhile.
                if not self._is_intact(folder, manifest):
                    raise
            return folder
        finally:
            shutil.rmtree(partial, ignore_errors=True)

    @staticmethod
    def _files(manifest: Manifest) -> Iterator[tuple[str, tuple[Blob, ...]]]:
        yield "model.onnx", manifest.graph
        if manifest.weights_file is not None:
            yield manifest.weights_file, manifest.chunks

    def _is_intact(self, folder: Path, manifest: Manifest) -> bool:
        try:
            for name, blobs in self._files(manifest):
                with (folder / name).open("rb") as file:
                    if any(digest_of(file.read(blob.byte_length)) != blob.digest for blob in blobs):
                        return False
                    if file.read(1):
                        return False
        except FileNotFoundError:
            return False
        return True

    def _read_checked(self, digest: str, byte_length: int | None, what: str) -> bytes:
        try:
            data = self.source.blob(digest)
        except OSError as error:
            raise self._unreadable(what, error) from error
        if data is None:
            logger.error("%s, %s, is not stored", what, digest)
            raise OriginError("model_not_ready", "a part of the model is not stored")
        if digest_of(data) != digest or byte_length not in (None, len(data)):
            logger.error("%s should be %s, but %s is stored", what, digest, digest_of(data))
            raise OriginError("digest_mismatch", "a part of the model is not what was published")
        return data

    @staticmethod
    def _unreadable(what: str, error: OSError) -> OriginError:
        logger.error("%s cannot be read: %s", what, error)
        return OriginError("model_not_ready", "the model repository cannot be read now")


def digest_of(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
