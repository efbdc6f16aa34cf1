/** Publishers whose keys the reference implementation of model signing is given, one a curve; the worker trusts them, too. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureLocalPublisher } from '../../scripts/local-publisher.ts';
import { generatePublisherKey } from '../../src/cli/signing-key.ts';
import { curveNames } from '../../src/repository/signing/curve.ts';
import { publicKeyPem } from '../../src/repository/signing/public-key.ts';

export interface InteropPublisher {
  /** `p256` and its like: of the files, and of its model. */
  readonly name: string;
  readonly privatePem: string;
}

export interface InteropPublishers {
  readonly publishers: readonly InteropPublisher[];
  /** Of a worker that trusts all of them, and the local one. */
  readonly trustedPublishers: string;
}

/** Writes `<name>.pem` and `<name>.pub.pem` of each into `folder`. */
export async function writeSigningKeys(folder: string): Promise<InteropPublishers> {
  const publishers: InteropPublisher[] = [];
  const trusted: unknown[] = JSON.parse((await ensureLocalPublisher()).trustedPublishers);
  for (const curve of curveNames) {
    const name = curve.replace('-', '').toLowerCase();
    const { privatePem, publicKey } = generatePublisherKey(curve);
    const key = publicKeyPem(publicKey);
    writeFileSync(join(folder, `${name}.pem`), privatePem, { mode: 0o600 });
    writeFileSync(join(folder, `${name}.pub.pem`), key);
    publishers.push({ name, privatePem });
    trusted.push({ name, key });
  }
  return { publishers, trustedPublishers: JSON.stringify(trusted) };
}
