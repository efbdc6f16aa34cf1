/** The publisher of this checkout: whose key signs the samples, and whom workers and origins trust that are started here. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { privateKeyFile, publicKeyFile } from '../src/cli/publisher-keys.ts';
import { generatePublisherKey, readSigningKey } from '../src/cli/signing-key.ts';
import { publicKeyPem } from '../src/repository/signing/public-key.ts';
import { root } from './process-group.ts';

export interface LocalPublisher {
  /** PEM. */
  readonly publisherKey: string;
  /** As `EDGEWISE_TRUSTED_PUBLISHERS`. */
  readonly trustedPublishers: string;
}

/** Its key is made once, readable by its owner only. Where two make it at once, the first one's stands. */
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
