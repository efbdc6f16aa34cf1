import { EdgewiseError } from '../errors.ts';

/** Log level that silences ONNX Runtime's own log: every failure is returned with its text. */
export const fatalOnly = 4;

/** A failed call of ONNX Runtime. The text is for the operator only, so it goes into `cause`. */
export interface OrtFailure {
  /** `OrtErrorCode` of onnxruntime_c_api.h, if the engine provides it. */
  readonly code?: number;
  readonly text: string;
}

const outOfMemory =
  /bad_alloc|out of memory|failed to allocate|not enough memory|is smaller than requested bytes|STATUS_ALLOC_FAILED/i;
/** Failures of a GPU, its driver or its libraries, whatever the feeds. After some of them no run in the process succeeds. */
const deviceFailure =
  /\b(?:CUDA|CUDNN|CUBLAS|CUFFT|CURAND) failure|cudaError|device (?:is |was )?(?:lost|removed|hung)|DXGI_ERROR/i;
/** Device errors that mean the library rejected the feeds. */
const deviceRefusal = /_(?:BAD_PARAM|NOT_SUPPORTED|INVALID_VALUE)\b/;
// "No Op registered for Foo with domain_version of 13", "com.acme:Foo(-1) is not a registered function/op",
// "Could not find an implementation for Foo(13) node with name 'x'".
const unknownOperator =
  /No Op registered for ([\w.-]+) with|([\w.:-]+)\(-?\d+\) is not a registered function\/op|Could not find an implementation for ([\w.:-]+)\(-?\d+\)/;
const longestOperatorName = 100;
/** onnxruntime-node's error for an unsupported input or output type; the number is that of onnx.proto. */
const unknownType = /^Unsupported data type: (\d+)$/;

/** Codes that blame this model on these feeds: FAIL, INVALID_ARGUMENT, RUNTIME_EXCEPTION, NOT_IMPLEMENTED. */
const refusals: ReadonlySet<number> = new Set([1, 2, 6, 9]);

export function isOutOfMemory(text: string): boolean {
  return outOfMemory.test(text);
}

/** The runtime has no kernel for a node; another build may have one. Used as the cause of an EdgewiseError. */
export class MissingKernelError extends Error {
  override readonly name = 'MissingKernelError';
}

/** The runtime rejected a model. Carries the runtime's own text; used as the cause of an EdgewiseError. */
export class OrtLoadError extends Error {
  override readonly name = 'OrtLoadError';
}

const notImplemented = 9;

function toLoadCause({ code, text }: OrtFailure): Error {
  return new OrtLoadError(code === undefined ? text : `ONNX Runtime error ${code}: ${text}`);
}

/** Returns the error of a session that could not be created from the given bytes. */
export function toLoadError(failure: OrtFailure): EdgewiseError {
  const cause = toLoadCause(failure);
  if (isOutOfMemory(failure.text)) {
    return new EdgewiseError('no_capacity', "the model does not fit into the engine's memory", { cause });
  }
  const found = unknownOperator.exec(failure.text);
  const operator = found?.[1] ?? found?.[2] ?? found?.[3];
  if (operator !== undefined) {
    const name = operator.slice(0, longestOperatorName);
    return new EdgewiseError(
      'invalid_request',
      `the model uses the operator ${name}, which this engine lacks`,
      { cause: new MissingKernelError(cause.message) },
    );
  }
  const type = unknownType.exec(failure.text)?.[1];
  if (type !== undefined) {
    return new EdgewiseError(
      'invalid_request',
      `an input or output of the model has ONNX type ${type}, which cannot be served`,
      { cause },
    );
  }
  if (failure.code === notImplemented) {
    return new EdgewiseError('invalid_request', 'the model uses a feature that this engine lacks', {
      cause: new MissingKernelError(cause.message),
    });
  }
  return new EdgewiseError('invalid_request', 'the bytes are not a model that this engine can load', {
    cause,
  });
}

// "Non-zero status code returned while running Gather node. Name:'g' Status ProcessMessage: indices element out of data bounds, idx=7".
const deviceWords =
  /\b(?:CUDA|CUDNN|CUBLAS|CUFFT|CURAND) failure \d+|\bcudaError\w*|device (?:is |was )?(?:lost|removed|hung)|DXGI_ERROR\w*/i;
const failedNode = /while running (\w+) node\.(?: Name:'([^']*)')?/;

/** Returns where a run failed. Keeps only the model's parts of ONNX Runtime's text, since the rest quotes the feeds. */
function toRunCause({ code, text }: OrtFailure): Error {
  const [, operator, name] = failedNode.exec(text) ?? [];
  const known = [
    code === undefined ? 'ONNX Runtime error' : `ONNX Runtime error ${code}`,
    outOfMemory.exec(text)?.[0] ?? deviceWords.exec(text)?.[0],
    operator && `in the ${operator} node${name === undefined ? '' : ` '${name}'`}`,
    `with a message of ${text.length} characters`,
  ];
  return new Error(known.filter((part) => part !== undefined).join(', '));
}

/** Returns the error of a run that failed inside the graph. */
export function toRunError(failure: OrtFailure): EdgewiseError {
  const cause = toRunCause(failure);
  if (isOutOfMemory(failure.text)) {
    return new EdgewiseError('no_capacity', 'the run needs more memory than the engine has', { cause });
  }
  const isRefusal = failure.code === undefined || refusals.has(failure.code);
  const isDeviceFailure = deviceFailure.test(failure.text) && !deviceRefusal.test(failure.text);
  return isRefusal && !isDeviceFailure
    ? new EdgewiseError('invalid_request', 'the model cannot compute with these inputs', { cause })
    : new EdgewiseError('internal', 'the engine failed', { cause });
}
