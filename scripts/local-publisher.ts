/** The publisher key of this checkout: it signs the samples, and local workers and origins trust it. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { privateKeyFile, publicKeyFile } from '../src/cli/publisher-keys.ts';
import { generatePublisherKey, readSigningKey } from '../src/cli/signing-key.ts';
import { publicKeyPem } from '../src/repository/signing/public-key.ts';
import { root } from './process-group.ts';

export interface LocalPublisher {
  /** The private key as PEM. */
  readonly publisherKey: string;
  /** Value of `EDGEWISE_TRUSTED_PUBLISHERS`. */
  readonly trustedPublishers: string;
}

/** Creates the key on first use in a file that only its owner can read. If two processes create it at once, the first one stays. */
export async function ensureLocalPublisher(): Promise<LocalPublisher> {
  const file = join(root, privateKeyFile);
  if (!existsSync(file)) {
    mkdirSync(dirname(file), { recursive: true });
    const { privatePem } = generatePublisherKey();
    try {
      writeFileSync(file, privatePem, { flag: 'wx', mode: 0o600 });
    } catch (error) {
      if (!existsSync(file)) throw error;
    }
  }
  const publisherKey = readFileSync(file, 'utf8');
  const key = publicKeyPem((await readSigningKey(publisherKey)).publicKey);
  const publicFile = join(root, publicKeyFile);
  if (!existsSync(publicFile)) writeFileSync(publicFile, key);
  return { publisherKey, trustedPublishers: JSON.stringify([{ name: 'local', key }]) };
}
