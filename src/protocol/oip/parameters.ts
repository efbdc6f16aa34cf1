/** The `parameters` objects of requests, inputs and outputs. Unknown parameters are passed on unchanged. */
import { describe, invalid, quote } from './fail.ts';
import { isObject } from './json-object.ts';
import type { Parameters } from './types.ts';

export const noParameters: Parameters = Object.freeze({});

/**
 * Returns `value` as parameters; none if it is absent or null.
 *
 * @throws EdgewiseError `invalid_request` if it is not an object.
 */
export function parseParameters(value: unknown, what: string): Parameters {
  if (value === undefined || value === null) return noParameters;
  if (!isObject(value)) throw invalid(`"parameters" of ${what} is ${describe(value)}; expected an object`);
  return value;
}

/** Returns the scalar parameters of an answer: servers may send more than we read (MLServer sends nested headers). */
export function scalarParameters(value: unknown): Parameters {
  if (!isObject(value)) return noParameters;
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => isScalar(entry)));
}

/** Returns a boolean parameter; false if absent. @throws EdgewiseError `invalid_request` for another kind. */
export function booleanParameter(parameters: Parameters, name: string, what: string): boolean {
  const value = parameters[name];
  if (value !== undefined && typeof value !== 'boolean') {
    throw invalid(`parameter ${name} of ${what} is ${describe(value)}; expected true or false`);
  }
  return value ?? false;
}

/** Returns a count; undefined if absent. @throws EdgewiseError `invalid_request` unless it is a whole number, 0 or more. */
export function countParameter(parameters: Parameters, name: string, what: string): number | undefined {
  const value = parameters[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw invalid(`parameter ${name} of ${what} is ${describe(value)}; expected a whole number, 0 or more`);
  }
  return value;
}

/** @throws EdgewiseError `invalid_request` if the tensor uses shared memory. */
export function refuseSharedMemory(parameters: Parameters, what: string): void {
  for (const name in parameters) {
    if (name.startsWith('shared_memory_')) {
      throw invalid(`${what} asks for shared memory, which this server does not offer; send the data itself`);
    }
  }
}

/** Parameters of the sequence extension, which is not offered; 0, "" and false mean "no sequence". */
const sequenceNames = new Set(['sequence_id', 'sequence_start', 'sequence_end']);

/** @throws EdgewiseError `invalid_request` for names that Triton reserves, and for sequences. */
export function refuseReserved(parameters: Parameters): void {
  for (const name in parameters) {
    if (sequenceNames.has(name) && parameters[name]) {
      throw invalid(
        `parameter ${name} of the request asks for a sequence, and this server keeps no state between requests; pass the model's state in and out`,
      );
    }
    if (name.startsWith('triton_')) {
      throw invalid(
        `parameter ${quote(name)} of the request is reserved: names starting "triton_" may not be sent`,
      );
    }
  }
}

function isScalar(value: unknown): boolean {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
