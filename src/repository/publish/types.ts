import type { Clock } from '../../async/clock.ts';
import type { Engine } from '../../engine/types.ts';
import type { Digest } from '../../storage/types.ts';
import type { ModelConfig } from '../config-schema.ts';
import type { ByteSource } from '../onnx/byte-source.ts';
import type { Manifest } from '../schema.ts';

/** ONNX Runtime's levels whose result does not depend on the machine that made it. */
export type OptimisationLevel = 'basic' | 'extended';

/** What a push computes with. `platform/node-cli.ts` puts the real ones together. */
export interface PublishEngines {
  /** Native, computing each node as the graph has it: gives the answer that the published form is held to. */
  readonly native: Engine;
  /** As an origin runs what is published. */
  readonly origin: Engine;
  /** The edge's engine, a new one on each call: a WASM memory never shrinks, so a used one measures too much. */
  edge(memoryCapBytes: number): Engine;
  /**
   * The model after constant folding, unless `fold` is false, and fusion, as one `.onnx` file.
   *
   * @throws EdgewiseError `invalid_request` when the runtime refuses the model.
   */
  optimise(
    model: Uint8Array,
    level: OptimisationLevel,
    options?: { readonly fold?: boolean },
  ): Promise<Uint8Array>;
}

export interface PackageInput {
  readonly config: ModelConfig;
  readonly version: string;
  /** `model.onnx`. */
  readonly model: ByteSource;
  /** Where `model.onnx` and the files beside it stand, for engines that read them themselves; absent: in memory. */
  readonly folder?: string;
  /** Output name → labels in class order. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** The exact licence text: the bytes of the file that the terms in `config` name. */
  readonly licenceText: Uint8Array<ArrayBuffer>;
  /** Requests to try it with, in the order of their names; absent: it is tried with made-up numbers. */
  readonly samples?: readonly SampleFile[];
  /** Files beside the model that it keeps weights in, by their relative path; absent: there are none. */
  externalFile?(location: string): Promise<ByteSource | undefined>;
}

/** A request of the Open Inference Protocol in JSON. */
export interface SampleFile {
  readonly name: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** SHA-256 of what it was given, piece by piece. */
export interface IncrementalDigest {
  update(bytes: Uint8Array): void;
  digest(): Uint8Array;
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
  /** Milliseconds that the processor has spent on this thread; absent: the profile has times by the clock alone. */
  cpuMs?(): number;
  /** A new SHA-256 that is fed piece by piece. Default: one in JavaScript, which takes a few seconds for a gigabyte. */
  sha256?(): IncrementalDigest;
  /** Default now. */
  readonly createdAt?: Date;
  onProgress?(step: PublishStep, detail: string): void;
}

export interface PackageBlob {
  readonly digest: Digest;
  readonly byteLength: number;
  /** Its bytes, read again from where the model stands: only one blob at a time need be in memory. */
  read(): Promise<Uint8Array<ArrayBuffer>>;
}

/** All that a version consists of: its manifest, and the blobs that the manifest names. */
export interface ModelPackage {
  readonly manifest: Manifest;
  readonly blobs: readonly PackageBlob[];
}
