import type { Clock } from '../../async/clock.ts';
import type { Bytes } from '../../bytes.ts';
import type { Engine } from '../../engine/types.ts';
import type { Digest } from '../../storage/types.ts';
import type { ModelConfig } from '../config-schema.ts';
import type { ByteSource } from '../onnx/byte-source.ts';
import type { Manifest } from '../schema.ts';

/** Levels of ONNX Runtime whose result does not depend on the machine. */
export type OptimisationLevel = 'basic' | 'extended';

/** The engines of a push. `platform/node-cli.ts` creates the real ones. */
export interface PublishEngines {
  /** Runs each node natively as the graph has it: its answers are the reference for the published form. */
  readonly native: Engine;
  /** Runs the published form as an origin does. */
  readonly origin: Engine;
  /** Returns a new engine as at the edge: a WASM memory never shrinks, so a used engine would measure too much. */
  edge(memoryCapBytes: number): Engine;
  /**
   * Folds constants, unless `fold` is false, and fuses operators. Returns one `.onnx` file.
   *
   * @throws EdgewiseError `invalid_request` if the runtime refuses the model.
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
  /** The file `model.onnx`. */
  readonly model: ByteSource;
  /** The folder of `model.onnx` and the files beside it, for engines that read them directly; absent: the model is in memory. */
  readonly folder?: string;
  /** Output name → labels in class order. */
  readonly labels: Readonly<Record<string, readonly string[]>>;
  /** The exact licence text: the bytes of the file that the terms in `config` name. */
  readonly licenceText: Bytes;
  /** Requests to try the model with, in the order of their names; absent: it is tried with made-up numbers. */
  readonly samples?: readonly SampleFile[];
  /** Returns a file beside the model that has some of its weights, by its relative path; absent: there are none. */
  externalFile?(location: string): Promise<ByteSource | undefined>;
}

/** A request of the Open Inference Protocol in JSON. */
export interface SampleFile {
  readonly name: string;
  readonly bytes: Bytes;
}

/** A SHA-256 that is computed piece by piece. */
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
  /** Something that may not be intended, though it does not stop the push. */
  | 'warning';

export interface PackageOptions {
  readonly engines: PublishEngines;
  /** Publish for the origin only: the model is not measured at the edge, and may be too large for it. */
  readonly originOnly?: boolean;
  /** Default 96 MiB, as the worker's. */
  readonly memoryCapBytes?: number;
  readonly clock?: Clock;
  /** CPU time of this thread in milliseconds; absent: the profile has durations only. */
  cpuMs?(): number;
  /** Returns a new SHA-256. Default: one in JavaScript, which takes a few seconds for a gigabyte. */
  sha256?(): IncrementalDigest;
  /** Default: now. */
  readonly createdAt?: Date;
  onProgress?(step: PublishStep, detail: string): void;
}

export interface PackageBlob {
  readonly digest: Digest;
  readonly byteLength: number;
  /** Reads the bytes from the model's files, so that only one blob at a time has to be in memory. */
  read(): Promise<Bytes>;
}

/** A version: its manifest, and the blobs that the manifest names. */
export interface ModelPackage {
  readonly manifest: Manifest;
  readonly blobs: readonly PackageBlob[];
}
