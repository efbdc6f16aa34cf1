/** Explains to a publisher why a runtime refused a model: the runtime's own reason, and what to do about it. */
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { operandTypes } from '../onnx/node-types.ts';
import type { ModelProto } from '../onnx/proto-types.ts';

/** Names that `engine/ort-errors.ts` gives to the cause of a failed load: names cross threads, classes do not. */
const missingKernel = 'MissingKernelError';
const causeNames: ReadonlySet<string> = new Set([missingKernel, 'OrtLoadError']);
const maxCauses = 4;

/** Returns the error with the runtime's reason and advice; any other error is returned as it is. */
export function explainLoadError(error: unknown, model: ModelProto): unknown {
  const cause = findLoadFailure(error);
  if (!isEdgewiseError(error) || cause === undefined) return error;
  const reason = runtimeReason(cause.message);
  const detail = error.message.includes(reason) ? '' : `: ${reason}`;
  const advice = adviceFor(reason, cause.name === missingKernel, model);
  return new EdgewiseError(error.code, `${error.message}${detail}. ${advice}`, { cause: error });
}

/** Returns which kernel the native engine lacks for the model, with its type; undefined for every other failure. */
export function missingKernelReason(error: unknown, model: ModelProto): string | undefined {
  const cause = findLoadFailure(error);
  if (cause?.name !== missingKernel) return undefined;
  const reason = runtimeReason(cause.message);
  const types = kernelText(reason, model);
  return types === undefined ? reason : `${reason} (${types})`;
}

function findLoadFailure(error: unknown): Error | undefined {
  let at = error;
  for (let depth = 0; depth < maxCauses && at instanceof Error; depth += 1) {
    if (causeNames.has(at.name)) return at;
    at = at.cause;
  }
  return undefined;
}

// "/onnxruntime_src/onnxruntime/core/graph/model.cc:202 onnxruntime::Model::Model(onnx::ModelProto&&, …) Unsupported model …".
const sourcePosition = /\S+\.(?:cc|cpp|h):\d+ \S.*?\)(?: const)?(?:::<lambda\(\)>)? (?=[A-Z"'])/;
const errorCode = /^ONNX Runtime error \d+: /;
const maxReasonLength = 600;

/** Returns the runtime's message without its error code and its source position. */
export function runtimeReason(text: string): string {
  const plain = text.replace(errorCode, '').trim();
  return plain.replace(sourcePosition, '').replace(/\.$/, '').slice(0, maxReasonLength);
}

const irVersion = /IR version: \d+, max supported IR version: (\d+)/;
const opset = /opset (\d+)[\s\S]*till opset (\d+)|Opset (\d+) is under development/i;
const locale = /locale/i;
const withOrigin =
  'A GPU or another build of the runtime may have it: use --origin to publish the model for the origin without trying it here';

function adviceFor(reason: string, isMissingKernel: boolean, model: ModelProto): string {
  const newest = irVersion.exec(reason)?.[1];
  if (newest !== undefined) {
    return `Save it in an older format, in Python: model.ir_version = ${Math.min(10, Number(newest))} before onnx.save(model, path)`;
  }
  if (opset.test(reason)) {
    const last = opset.exec(reason)?.[2];
    return `Convert it to an opset that the runtime has, in Python: onnx.version_converter.convert_version(model, ${Math.min(21, Number(last ?? 21))})`;
  }
  if (locale.test(reason)) {
    return 'Install the locale that its StringNormalizer names (Debian: apt-get install locales, then locale-gen), or set the attribute to "C"';
  }
  if (isMissingKernel) {
    const types = kernelText(reason, model);
    return `${types === undefined ? '' : `The kernel is ${types}. `}${withOrigin}`;
  }
  return 'To find out what is wrong with it, run onnx.checker.check_model(path, full_check=True) in Python';
}

const kernelForm = /implementation for (?:[\w.]+:)?(\w+)\(-?\d+\) node with name '([^']*)'/;

/** Returns a text such as `MatMul of BFLOAT16`. */
function kernelText(reason: string, model: ModelProto): string | undefined {
  const [, opType, name] = kernelForm.exec(reason) ?? [];
  if (opType === undefined) return undefined;
  const types = operandTypes(model, opType, name);
  return types.length === 0 ? undefined : `${opType} of ${types.join(' or ')}`;
}
