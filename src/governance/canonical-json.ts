import canonicalize from 'canonicalize';
import { EdgewiseError } from '../errors.ts';

/** Returns the canonical JSON of a value (RFC 8785). @throws EdgewiseError `internal` if it has none */
export function canonicalJson(value: unknown): string {
  const text = canonicalize(value);
  if (text === undefined) throw new EdgewiseError('internal', 'a value has no canonical JSON');
  return text;
}
