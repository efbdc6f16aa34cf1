/** The `parameters` objects of requests, inputs and outputs. What is not known here is passed on as it is. */
import { describe, invalid, quote } from './fail.ts';
import { isObject } from './json-object.ts';
import type { Parameters } from './types.ts';

export const noParameters: Parameters = Object.freeze({});

/**
 * `value` as parameters; absent and null are none.
 *
 * @throws EdgewiseError `invalid_request` when it is no object.
 */
export function parseParameters(value: unknown, what: string): Parameters {
  if (value === undefined || value === null) return noParameters;
  if (!isObject(value)) throw invalid(`parameters of ${what} are ${describe(value)}, expected an object`);
  return value;
}

/** The scalars of `value`: for answers, whose servers may say more than we read (MLServer sends nested headers). */
export function scalarParameters(value: unknown): Parameters {
  if (!isObject(value)) return noParameters;
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => isScalar(entry)));
}

/** A boolean parameter, false where absent. @throws EdgewiseError `invalid_request` for another kind. */
export function booleanParameter(parameters: Parameters, name: string, what: string): boolean {
  const value = parameters[name];
  if (value !== undefined && typeof value !== 'boolean') {
    throw invalid(`parameter ${name} of ${what} is ${describe(value)}, wanted true or false`);
  }
  return value ?? false;
}

/** A count, undefined where absent. @throws EdgewiseError `invalid_request` unless a whole number, 0 or more. */
export function countParameter(parameters: Parameters, name: string, what: string): number | undefined {
  const value = parameters[name];
  if (value === undefined) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw invalid(`parameter ${name} of ${what} is ${describe(value)}, wanted a whole number of 0 or more`);
  }
  return value;
}

/** @throws EdgewiseError `invalid_request` when the tensor is to come from, or go to, shared memory. */
export function refuseSharedMemory(parameters: Parameters, what: string): void {
  for (const name in parameters) {
    if (name.startsWith('shared_memory_')) {
      throw invalid(`${what} asks for shared memory, which this server does not offer; send the data itself`);
    }
  }
}

/** Of the sequence extension, which is not offered; 0, "" and false mean that there is none. */
const sequenceNames = new Set(['sequence_id', 'sequence_start', 'sequence_end']);

/** @throws EdgewiseError `invalid_request` for names that Triton keeps for itself, and for sequences. */
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
