/** Health, server and model metadata (inference_rest.md, "Health", "Server Metadata", "Model Metadata"). */
import { z } from 'zod';
import type { TensorSpec } from '../../tensor/tensor.ts';
import { parseAnswerBody } from './envelope.ts';

/** Names of extensions, as Triton prints them and in its order. A server lists the extensions that it supports. */
export type ServerExtension =
  | 'classification'
  | 'model_repository'
  | 'model_repository(unload_dependents)'
  | 'schedule_policy'
  | 'model_configuration'
  | 'binary_tensor_data'
  | 'parameters'
  | 'statistics';

export interface ServerMetadata {
  readonly name: string;
  readonly version: string;
  readonly extensions: readonly string[];
}

export interface ModelMetadata {
  readonly name: string;
  /** Strings; clients compare them as strings. */
  readonly versions?: readonly string[] | undefined;
  readonly platform: string;
  readonly inputs: readonly TensorMetadata[];
  readonly outputs: readonly TensorMetadata[];
}

/** `datatype` is a string, because another server may use a datatype that we do not support (BF16). */
export interface TensorMetadata {
  readonly name: string;
  readonly datatype: string;
  readonly shape: readonly number[];
}

export function serverMetadata(version: string, extensions: readonly ServerExtension[]): ServerMetadata {
  return { name: 'edgewise', version, extensions };
}

export interface ModelMetadataOptions {
  readonly name: string;
  readonly versions: readonly string[];
  /** A format of the specification's list; `onnx_onnxv1` for ONNX. */
  readonly platform: string;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
}

export function modelMetadata(options: ModelMetadataOptions): ModelMetadata {
  const { name, versions, platform } = options;
  return {
    name,
    versions,
    platform,
    inputs: options.inputs.map(tensorMetadata),
    outputs: options.outputs.map(tensorMetadata),
  };
}

function tensorMetadata({ name, datatype, shape }: TensorSpec): TensorMetadata {
  return { name, datatype, shape };
}

/** The body of the liveness route, in KServe's form. Clients read only the status (200 or 503). */
export function liveBody(live: boolean): { readonly live: boolean } {
  return { live };
}

export function readyBody(ready: boolean): { readonly ready: boolean } {
  return { ready };
}

export function modelReadyBody(
  name: string,
  ready: boolean,
): { readonly name: string; readonly ready: boolean } {
  return { name, ready };
}

/** The body of `GET /v2/models`, in KServe's form. */
export function modelListBody(names: readonly string[]): { readonly models: readonly string[] } {
  return { models: names };
}

const serverMetadataSchema = z.object({
  name: z.string(),
  version: z.string(),
  extensions: z.array(z.string()),
});

const tensorMetadataSchema = z.object({
  name: z.string(),
  datatype: z.string(),
  shape: z.array(z.int()),
});

const modelMetadataSchema = z.object({
  name: z.string(),
  versions: z.array(z.string()).optional(),
  platform: z.string(),
  inputs: z.array(tensorMetadataSchema),
  outputs: z.array(tensorMetadataSchema),
});

/** Parses another server's answer to `GET /v2`. @throws EdgewiseError `origin_unavailable` if it is malformed. */
export function parseServerMetadata(body: Uint8Array): ServerMetadata {
  return parseAnswerBody(body, serverMetadataSchema, 'the server metadata');
}

/** Parses another server's answer to `GET /v2/models/{name}`. @throws EdgewiseError `origin_unavailable` if it is malformed. */
export function parseModelMetadata(body: Uint8Array): ModelMetadata {
  return parseAnswerBody(body, modelMetadataSchema, 'the model metadata');
}
