/** Why a runtime did not take a model, for its publisher: the runtime's own reason, and what to do about it. */
import { EdgewiseError, isEdgewiseError } from '../../errors.ts';
import { operandTypes } from '../onnx/node-types.ts';
import type { ModelProto } from '../onnx/proto-types.ts';

/** How `engine/ort-errors.ts` names the cause of a load that failed: names cross threads, classes do not. */
const missingKernel = 'MissingKernelError';
const causeNames: ReadonlySet<string> = new Set([missingKernel, 'OrtLoadError']);
const maxCauses = 4;

/** Returns the error with the runtime's reason and what to do; any other error as it is. */
export function explainLoadError(error: unknown, model: ModelProto): unknown {
  const cause = loadFailure(error);
  if (!isEdgewiseError(error) || cause === undefined) return error;
  const reason = runtimeReason(cause.message);
  const said = error.message.includes(reason) ? '' : `: ${reason}`;
  const advice = adviceFor(reason, cause.name === missingKernel, model);
  return new EdgewiseError(error.code, `${error.message}${said}. ${advice}`, { cause: error });
}

/** Returns why the native engine lacks a kernel for the model, with the kernel's type; undefined for every other failure. */
export function missingKernelReason(error: unknown, model: ModelProto): string | undefined {
  const cause = loadFailure(error);
  if (cause?.name !== missingKernel) return undefined;
  const reason = runtimeReason(cause.message);
  const types = kernelText(reason, model);
  return types === undefined ? reason : `${reason} (${types})`;
}

function loadFailure(error: unknown): Error | undefined {
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

/** Returns what the runtime says, without its code and the place in its source. */
export function runtimeReason(text: string): string {
  const plain = text.replace(errorCode, '').trim();
  return plain.replace(sourcePosition, '').replace(/\.$/, '').slice(0, maxReasonLength);
}

const irVersion = /IR version: \d+, max supported IR version: (\d+)/;
const opset = /opset (\d+)[\s\S]*till opset (\d+)|Opset (\d+) is under development/i;
const locale = /locale/i;
const withOrigin =
  'A GPU or another build of the runtime may have it: with --origin the model is published for the origin without being tried here';

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
  return 'What is wrong with it is said by onnx.checker.check_model(path, full_check=True), in Python';
}

const kernelForm = /implementation for (?:[\w.]+:)?(\w+)\(-?\d+\) node with name '([^']*)'/;

/** `MatMul of BFLOAT16`. */
function kernelText(reason: string, model: ModelProto): string | undefined {
  const [, opType, name] = kernelForm.exec(reason) ?? [];
  if (opType === undefined) return undefined;
  const types = operandTypes(model, opType, name);
  return types.length === 0 ? undefined : `${opType} of ${types.join(' or ')}`;
}
