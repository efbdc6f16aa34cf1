/** Finds the keys of publishers: the private key that signs a push, and the public keys that verification trusts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkDocument } from '../check-document.ts';
import { EdgewiseError } from '../errors.ts';
import { parsePublicKey } from '../repository/signing/public-key.ts';
import { type TrustedPublisher, trustedPublishersSchema } from '../repository/signing/publishers.ts';
import { unreadableFile } from './files.ts';

export const privateKeyFile = join('.edgewise', 'publisher.pem');
export const publicKeyFile = join('.edgewise', 'publisher.pub.pem');

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Returns the PEM of the private key: from the file that `--key` names, else from EDGEWISE_PUBLISHER_KEY (PEM, or a file
 * name), else from `.edgewise/publisher.pem` in `folder`.
 *
 * @throws EdgewiseError `invalid_request` if there is none, or its file cannot be read.
 */
export function findPublisherKey(file: string | undefined, environment: Environment, folder: string): string {
  if (file !== undefined) return readKeyFile(file);
  const { EDGEWISE_PUBLISHER_KEY: variable } = environment;
  if (variable !== undefined && variable !== '')
    return variable.includes('-----BEGIN') ? variable : readKeyFile(variable);
  const stored = tryReadFile(join(folder, privateKeyFile));
  if (stored !== undefined) return stored;
  throw new EdgewiseError(
    'invalid_request',
    `there is no key to sign with: name one with --key or EDGEWISE_PUBLISHER_KEY, or create one with edgewise publisher keygen`,
  );
}

/**
 * Returns the trusted publishers: the public keys in the files of `--key`, else EDGEWISE_TRUSTED_PUBLISHERS, else
 * `.edgewise/publisher.pub.pem` in `folder`, else none.
 *
 * @throws EdgewiseError `invalid_request` for a key that is not usable.
 */
export function findTrustedPublishers(
  files: readonly string[],
  environment: Environment,
  folder: string,
): readonly TrustedPublisher[] {
  if (files.length > 0) return files.map((file) => ({ name: file, key: parsePublicKey(readKeyFile(file)) }));
  const { EDGEWISE_TRUSTED_PUBLISHERS: variable } = environment;
  if (variable !== undefined && variable !== '') return parseTrustedPublishers(variable);
  const stored = tryReadFile(join(folder, publicKeyFile));
  return stored === undefined ? [] : [{ name: publicKeyFile, key: parsePublicKey(stored) }];
}

function parseTrustedPublishers(text: string): readonly TrustedPublisher[] {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw unusableTrust('it is not JSON', cause);
  }
  const checked = checkDocument(trustedPublishersSchema, document, { quoteText: false, whole: 'it' });
  if (!checked.success) throw unusableTrust(checked.complaint);
  return checked.data;
}

function unusableTrust(reason: string, cause?: unknown): EdgewiseError {
  return new EdgewiseError(
    'invalid_request',
    `EDGEWISE_TRUSTED_PUBLISHERS is not usable: ${reason}. Expected JSON such as [{"name":"acme","key":"-----BEGIN PUBLIC KEY-----…"}]`,
    { cause },
  );
}

function readKeyFile(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw unreadableFile(file, cause, 'expected a key as PEM');
  }
}

function tryReadFile(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
