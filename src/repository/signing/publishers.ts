/** The publishers whose signatures are accepted. */
import { z } from 'zod';
import { toEdgewiseError } from '../../errors.ts';
import { type Curve, curves } from './curve.ts';
import { fingerprintOf, type PublicKey, parsePublicKey } from './public-key.ts';

export interface TrustedPublisher {
  /** The signer's name in records. */
  readonly name: string;
  readonly key: PublicKey;
}

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** A publisher whose key is imported for verification. */
export interface Signer {
  readonly name: string;
  readonly fingerprint: string;
  readonly curve: Curve;
  readonly key: Key;
}

export interface Publishers {
  /** Returns the publisher of a key; undefined for a key that is not trusted. */
  find(fingerprint: string): Promise<Signer | undefined>;
}

/** `EDGEWISE_TRUSTED_PUBLISHERS`. A publisher may have several keys, such as while it changes its key. */
export const trustedPublishersSchema = z
  .array(
    z.strictObject({
      name: z.string().min(1).max(200),
      key: z.string().transform((pem, context): PublicKey => {
        try {
          return parsePublicKey(pem);
        } catch (error) {
          context.addIssue({ code: 'custom', message: toEdgewiseError(error).message });
          return z.NEVER;
        }
      }),
    }),
  )
  .max(100);

/**
 * Returns the publishers of trusted keys. A key is imported on first use and cached; two first uses at once import it twice,
 * because no request may wait for the promise of another.
 */
export function trustPublishers(trusted: readonly TrustedPublisher[]): Publishers {
  const signers = new Map<string, Signer>();
  return {
    async find(fingerprint) {
      const known = signers.get(fingerprint);
      if (known !== undefined) return known;
      for (const { name, key } of trusted) {
        if ((await fingerprintOf(key)) !== fingerprint) continue;
        const signer = { name, fingerprint, curve: curves[key.curve], key: await importPublicKey(key) };
        signers.set(fingerprint, signer);
        return signer;
      }
      return undefined;
    },
  };
}

function importPublicKey({ curve, spki }: PublicKey): Promise<Key> {
  return crypto.subtle.importKey('spki', spki, { name: 'ECDSA', namedCurve: curve }, true, ['verify']);
}
