/** Publishers for the reference implementation of model signing, one for each curve, which the worker trusts. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ensureLocalPublisher } from '../../scripts/local-publisher.ts';
import { generatePublisherKey } from '../../src/cli/signing-key.ts';
import { curveNames } from '../../src/repository/signing/curve.ts';
import { publicKeyPem } from '../../src/repository/signing/public-key.ts';

export interface InteropPublisher {
  /** Name of the key files and of the model, such as `p256`. */
  readonly name: string;
  readonly privatePem: string;
}

export interface InteropPublishers {
  readonly publishers: readonly InteropPublisher[];
  /** EDGEWISE_TRUSTED_PUBLISHERS of a worker that trusts these publishers and the local one. */
  readonly trustedPublishers: string;
}

/** Writes `<name>.pem` and `<name>.pub.pem` of each publisher into `folder`. */
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
