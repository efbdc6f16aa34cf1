"""The Serve application: an ingress that speaks the protocol, and replicas that hold the models.

    serve run serve.yaml
"""

import asyncio
import hashlib
import hmac
import json
import logging
import os
import re
from pathlib import Path

from pydantic import BaseModel
from ray import serve
from ray.exceptions import RayActorError
from ray.serve.exceptions import BackPressureError
from ray.serve.handle import DeploymentHandle
from starlette.requests import Request as HttpRequest
from starlette.responses import JSONResponse, Response

from . import VERSION
from .errors import RETRY_AFTER_SECONDS, STATUS, OriginError
from .model import Job, Model, Outcome
from .oip import Arrays, check_feeds, check_outputs, encode_response, parse_request
from .repository import Manifest, Repository, source_of

logger = logging.getLogger("ray.serve")

# SHA-256 of the accepted keys in hex, separated by commas, as for Edgewise's own origin. If empty, every caller is accepted.
CALLER_KEYS = os.environ.get("EDGEWISE_CALLER_KEYS_SHA256", "").replace(",", " ").split()
MODELS_PER_REPLICA = int(os.environ.get("EDGEWISE_MODELS_PER_REPLICA", "8"))

# A name has one part or two (org/model); a version is a number or an alias.
MODEL_PATH = re.compile(
    r"/v2/models/(?P<name>[^/]+(?:/(?!ready$|infer$|versions/)[^/]+)?)"
    r"(?:/versions/(?P<version>[^/]+))?(?P<verb>/ready|/infer)?"
)
# A run is repeated if its replica has died, because an answer depends only on its inputs.
RUN_ATTEMPTS = 3


class Settings(BaseModel):
    """`args` of the application in serve.yaml. The admin key of a worker comes from EDGEWISE_ADMIN_KEY."""

    # A worker's address or a folder: repository.py.
    repository: str
    # Folder of each machine's cache of models.
    cache: str = "/tmp/edgewise-models"
    # Execution providers of ONNX Runtime, in order.
    providers: list[str] = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    # Threads of one run on a CPU.
    threads: int = 1
    # Requests at one ingress that are reported as full load.
    full_at: int = 256
    max_body_mib: int = 64
    timeout_seconds: float = 60

    def open_repository(self) -> Repository:
        source = source_of(self.repository, os.environ.get("EDGEWISE_ADMIN_KEY", ""))
        return Repository(source, Path(self.cache))


@serve.deployment(max_ongoing_requests=64, max_queued_requests=256)
class Models:
    """Holds the most recently used models and batches their requests."""

    def __init__(self, settings: Settings):
        self.settings = settings
        self.repository = settings.open_repository()

    def reconfigure(self, config: dict) -> None:
        """Applies `user_config`, which may change while requests are in flight."""
        self.run_batch.set_max_batch_size(config.get("max_batch_requests", 32))
        self.run_batch.set_batch_wait_timeout_s(config.get("max_queue_delay_ms", 2) / 1000)

    @serve.multiplexed(max_num_models_per_replica=MODELS_PER_REPLICA)
    async def model(self, manifest_digest: str) -> Model:
        return await asyncio.to_thread(self._load, manifest_digest)

    def _load(self, manifest_digest: str) -> Model:
        manifest = self.repository.manifest(manifest_digest)
        return Model(self.repository, manifest, self.settings.providers, self.settings.threads)

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.002)
    async def run_batch(self, requests: list[tuple[Model, Job]]) -> list[Outcome]:
        # Serve batches only requests for the same model.
        model = requests[0][0]
        return await asyncio.to_thread(model.run_all, [job for _, job in requests])

    async def run(self, feeds: Arrays, outputs: list[str]) -> Arrays | tuple[str, str]:
        """Returns the outputs, or code and message of an error, because an exception would become one of Ray's."""
        job = Job(feeds, outputs)
        try:
            model = await self.model(serve.get_multiplexed_model_id())
            if model.max_batch_size > 0 and model.row_wise:
                outcome = await self.run_batch((model, job))
            else:
                outcome = await asyncio.to_thread(model.run, job)
        except OriginError as error:
            outcome = error
        return (outcome.code, outcome.message) if isinstance(outcome, OriginError) else outcome


@serve.deployment(max_ongoing_requests=256)
class Ingress:
    """The Open Inference Protocol v2 over HTTP."""

    def __init__(self, settings: Settings, models: DeploymentHandle):
        self.settings = settings
        self.repository = settings.open_repository()
        self.models = models
        self.in_flight = 0

    async def __call__(self, request: HttpRequest) -> Response:
        self.in_flight += 1
        try:
            response = await self._answer(request)
        except OriginError as error:
            response = error_response(error)
        except Exception:
            logger.exception("%s %s failed", request.method, request.url.path)
            response = error_response(OriginError("internal", "the request failed"))
        finally:
            self.in_flight -= 1
        if request.headers.get("endpoint-load-metrics-format", "").lower() == "json":
            response.headers["endpoint-load-metrics"] = f"JSON {json.dumps(self._load())}"
        return response

    def _load(self) -> dict:
        """Returns this ingress's load as Open Request Cost Aggregation (cncf/xds), without the current request."""
        return {
            "application_utilization": round(self.in_flight / self.settings.full_at, 4),
            "named_metrics": {"in_flight": self.in_flight},
        }

    async def _answer(self, request: HttpRequest) -> Response:
        path = request.url.path
        match path.rstrip("/"):
            case "/v2":
                require(request, "GET")
                return JSONResponse(
                    {"name": "edgewise-ray", "version": VERSION, "extensions": ["binary_tensor_data"]}
                )
            case "/v2/health/live":
                require(request, "GET")
                return JSONResponse({"live": True})
            case "/v2/health/ready":
                require(request, "GET")
                await asyncio.to_thread(self.repository.names)
                return JSONResponse({"ready": True})
        authenticate(request)
        match path:
            case "/v2/repository/index":
                require(request, "POST")
                return JSONResponse(await asyncio.to_thread(self._index))
        found = MODEL_PATH.fullmatch(path)
        if found is None:
            raise OriginError("not_found", f"no route {path[:200]}")
        manifest_of = self.repository.resolve
        if found["verb"] == "/infer":
            require(request, "POST")
            manifest = await asyncio.to_thread(manifest_of, found["name"], found["version"])
            return await self._infer(request, manifest)
        require(request, "GET")
        manifest = await asyncio.to_thread(manifest_of, found["name"], found["version"])
        if found["verb"] == "/ready":
            return JSONResponse({"name": manifest.name, "ready": True})
        return JSONResponse(self._metadata(manifest))

    def _index(self) -> list[dict[str, str]]:
        indexes = [self.repository.index(name) for name in self.repository.names()]
        return [
            {
                "name": index["name"],
                "version": entry["version"],
                "state": "UNAVAILABLE" if index.get("unloaded") else "READY",
                "reason": "unloaded" if index.get("unloaded") else "",
            }
            for index in indexes
            for entry in index["versions"]
        ]

    def _metadata(self, manifest: Manifest) -> dict:
        def tensors(specs) -> list[dict]:
            return [{"name": s.name, "datatype": s.datatype, "shape": list(s.shape)} for s in specs]

        return {
            "name": manifest.name,
            "versions": [entry["version"] for entry in self.repository.index(manifest.name)["versions"]],
            "platform": "onnx_onnxv1",
            "inputs": tensors(manifest.inputs),
            "outputs": tensors(manifest.outputs),
        }

    async def _infer(self, http: HttpRequest, manifest: Manifest) -> Response:
        deadline = self._deadline(http)
        body = await self._body(http)
        request = parse_request(body, http.headers.get("inference-header-content-length"))
        check_feeds(manifest, request.feeds)
        outputs = check_outputs(manifest, request.outputs)
        try:
            async with asyncio.timeout_at(deadline):
                fetches = await self._run(manifest, request.feeds, outputs)
        except TimeoutError:
            raise OriginError("deadline_exceeded", "the request did not finish in time") from None
        content, headers = encode_response(manifest, request, fetches)
        return Response(content, headers=headers)

    def _deadline(self, http: HttpRequest) -> float:
        """Returns the request's deadline in the event loop's time: Edgewise-Timeout-Ms, at most the setting."""
        given = http.headers.get("edgewise-timeout-ms", "")
        seconds = self.settings.timeout_seconds
        if given.isdecimal():
            seconds = min(seconds, int(given) / 1000)
        return asyncio.get_running_loop().time() + seconds

    async def _body(self, http: HttpRequest) -> bytes:
        if http.headers.get("content-encoding", "identity") != "identity":
            raise OriginError("unsupported_encoding", "compressed bodies are not supported here")
        limit = self.settings.max_body_mib * 2**20
        body = bytearray()
        async for chunk in http.stream():
            body += chunk
            if len(body) > limit:
                raise OriginError("too_large", f"the body exceeds {limit} bytes")
        return bytes(body)

    async def _run(self, manifest: Manifest, feeds: Arrays, outputs: list[str]) -> Arrays:
        handle = self.models.options(multiplexed_model_id=manifest.digest)
        for attempt in range(1, RUN_ATTEMPTS + 1):
            response = handle.run.remote(feeds, outputs)
            try:
                outcome = await response
            except asyncio.CancelledError:
                response.cancel()
                raise
            except BackPressureError:
                raise OriginError("overloaded", "too many requests are waiting") from None
            except RayActorError as error:
                logger.warning("attempt %d at %s: its replica died: %s", attempt, manifest.name, error)
                continue
            if isinstance(outcome, tuple):
                raise OriginError(*outcome)
            return outcome
        raise OriginError("model_not_ready", f"the replicas died in {RUN_ATTEMPTS} attempts")


def authenticate(request: HttpRequest) -> None:
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    digest = hashlib.sha256(key.strip().encode()).hexdigest()
    # Compares with every key, so that the time does not depend on which one matches.
    known = sum(hmac.compare_digest(digest, key_digest.lower()) for key_digest in CALLER_KEYS)
    if CALLER_KEYS and (scheme.lower() != "bearer" or known == 0):
        raise OriginError("unauthenticated", "a key is required: Authorization: Bearer <key>")


def require(request: HttpRequest, method: str) -> None:
    if request.method != method:
        raise OriginError("method_not_allowed", f"{request.url.path[:200]} supports only {method}")


def error_response(error: OriginError) -> Response:
    headers = {"Edgewise-Error": error.code}
    if error.code in RETRY_AFTER_SECONDS:
        headers["Retry-After"] = str(RETRY_AFTER_SECONDS[error.code])
    return JSONResponse({"error": error.message}, STATUS[error.code], headers=headers)


def build(settings: Settings) -> serve.Application:
    return Ingress.bind(settings, Models.bind(settings))
