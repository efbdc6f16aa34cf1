"""Errors with Edgewise's codes, by which the worker in front acts."""

STATUS = {
    "invalid_request": 400,
    "shape_mismatch": 400,
    "unsupported_datatype": 400,
    "unauthenticated": 401,
    "model_not_found": 404,
    "version_not_found": 404,
    "not_found": 404,
    "method_not_allowed": 405,
    "too_large": 413,
    "unsupported_encoding": 415,
    "overloaded": 429,
    "internal": 500,
    "digest_mismatch": 500,
    "model_not_ready": 503,
    "deadline_exceeded": 504,
}

# The same request may succeed in a moment.
RETRY_AFTER_SECONDS = {"overloaded": 1, "model_not_ready": 1}


class OriginError(Exception):
    """`message` is shown to the caller, so it must not reveal anything internal."""

    def __init__(self, code: str, message: str):
        super().__init__(code, message)
        self.code = code
        self.message = message
