import type { Clock } from '../../async/clock.ts';
import type { Engine } from '../../engine/types.ts';
import type { Digest } from '../../storage/types.ts';
import type { Manifest, ModelConfig } from '../schema.ts';

/** ONNX Runtime's levels whose result does not depend on the machine that made it. */
export type OptimisationLevel = 'basic' | 'extended';

/** What a push computes with. `platform/node-cli.ts` puts the real ones together. */
export interface PublishEngines {
  /** Native: gives the answer that the published form is held to. */
  readonly native: Engine;
  /** As an origin runs what is published. */
  readonly origin: Engine;
  /** The edge's engine, a new one on each call: a WASM memory never shrinks, so a used one measures too much. */
  edge(memoryCapBytes: number): Engine;
  /**
   * The model after constant folding and fusion, as one `.onnx` file.
   *
   * @throws EdgewiseError `invalid_request` when the runtime refuses the model.
   */
  optimise(model: Uint8Array, level: OptimisationLevel): Promise<Uint8Array>;
}

export interface PackageInput {
  readonly config: ModelConfig;
  readonly version: string;
  /** The bytes of `model.onnx`. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** Output name → labels in class order. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** The exact licence text: the bytes of the file that the terms in `config` name. */
  readonly licenceText: Uint8Array<ArrayBuffer>;
  /** Files beside the model that it keeps weights in, by their relative path; absent: there are none. */
  externalFile?(location: string): Uint8Array<ArrayBuffer> | undefined;
}

export type PublishStep =
  | 'check'
  | 'reference'
  | 'optimise'
  | 'split'
  | 'measure'
  | 'rows'
  /** What is published all the same, though it may not be what is meant. */
  | 'warning';

export interface PackageOptions {
  readonly engines: PublishEngines;
  /** Publish for the origin only: not measured at the edge, and not refused for being too large for it. */
  readonly originOnly?: boolean;
  /** Default 96 MiB, as the worker's. */
  readonly memoryCapBytes?: number;
  readonly clock?: Clock;
  /** Default now. */
  readonly createdAt?: Date;
  onProgress?(step: PublishStep, detail: string): void;
}

export interface PackageBlob {
  readonly digest: Digest;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** All that a version consists of: its manifest, and the blobs that the manifest names. */
export interface ModelPackage {
  readonly manifest: Manifest;
  readonly blobs: readonly PackageBlob[];
}
