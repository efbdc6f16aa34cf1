/** The `parameters` objects of requests, inputs and outputs: scalars only. */
import { describe, invalid, quote } from './fail.ts';
import { isObject } from './json-text.ts';
import type { Parameters, ParameterValue } from './types.ts';

export const noParameters: Parameters = Object.freeze({});

/**
 * `value` as parameters; absent and null are none.
 *
 * @throws EdgewiseError `invalid_request` when it is no object or holds anything but strings, numbers and booleans.
 */
export function parseParameters(value: unknown, what: string): Parameters {
  if (value === undefined || value === null) return noParameters;
  if (!isParameters(value)) {
    if (!isObject(value)) throw invalid(`parameters of ${what} are ${describe(value)}, wanted an object`);
    const [name = '', bad] = Object.entries(value).find(([, entry]) => !isScalar(entry)) ?? [];
    throw invalid(
      `parameter ${quote(name)} of ${what} is ${describe(bad)}, wanted a string, a number or a boolean`,
    );
  }
  return value;
}

/** The scalars of `value`: for answers, whose servers may say more than we read (MLServer sends nested headers). */
export function scalarParameters(value: unknown): Parameters {
  if (isParameters(value)) return value;
  if (!isObject(value)) return noParameters;
  const scalars: [string, ParameterValue][] = [];
  for (const [name, entry] of Object.entries(value)) {
    if (isScalar(entry)) scalars.push([name, entry]);
  }
  return Object.fromEntries(scalars);
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

function isParameters(value: unknown): value is Parameters {
  if (!isObject(value)) return false;
  for (const name in value) {
    if (!isScalar(value[name])) return false;
  }
  return true;
}

function isScalar(value: unknown): value is ParameterValue {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean';
}
