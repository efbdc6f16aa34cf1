/** Where the command line finds keys of publishers: the private one that it signs with, and the public ones that it trusts. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { checkDocument } from '../check-document.ts';
import { EdgewiseError } from '../errors.ts';
import { parsePublicKey } from '../repository/signing/public-key.ts';
import { type TrustedPublisher, trustedPublishersSchema } from '../repository/signing/publishers.ts';

export const privateKeyFile = join('.edgewise', 'publisher.pem');
export const publicKeyFile = join('.edgewise', 'publisher.pub.pem');

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * PEM of the private key: of the file that `--key` names, else EDGEWISE_PUBLISHER_KEY (the text, or a file), else this
 * folder's `.edgewise/publisher.pem`.
 *
 * @throws EdgewiseError `invalid_request` when there is none, or its file cannot be read.
 */
export function publisherKey(file: string | undefined, environment: Environment, folder: string): string {
  if (file !== undefined) return readKeyFile(file);
  const { EDGEWISE_PUBLISHER_KEY: given } = environment;
  if (given !== undefined && given !== '') return given.includes('-----BEGIN') ? given : readKeyFile(given);
  const stored = readIfThere(join(folder, privateKeyFile));
  if (stored !== undefined) return stored;
  throw new EdgewiseError(
    'invalid_request',
    `there is no key to sign with: name one with --key or EDGEWISE_PUBLISHER_KEY, or make one with edgewise publisher keygen`,
  );
}

/**
 * Whom to trust: the public keys in the files of `--key`, else EDGEWISE_TRUSTED_PUBLISHERS, else this folder's
 * `.edgewise/publisher.pub.pem`; none where there is none of them.
 *
 * @throws EdgewiseError `invalid_request` for a key that is not usable.
 */
export function trustedPublishers(
  files: readonly string[],
  environment: Environment,
  folder: string,
): readonly TrustedPublisher[] {
  if (files.length > 0) return files.map((file) => ({ name: file, key: parsePublicKey(readKeyFile(file)) }));
  const { EDGEWISE_TRUSTED_PUBLISHERS: given } = environment;
  if (given !== undefined && given !== '') return parseTrusted(given);
  const stored = readIfThere(join(folder, publicKeyFile));
  return stored === undefined ? [] : [{ name: publicKeyFile, key: parsePublicKey(stored) }];
}

function parseTrusted(text: string): readonly TrustedPublisher[] {
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
  const text = readIfThere(file);
  if (text === undefined) {
    throw new EdgewiseError('invalid_request', `${file} cannot be read: wanted a key as PEM`);
  }
  return text;
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return undefined;
  }
}
