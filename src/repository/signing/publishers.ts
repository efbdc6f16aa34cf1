/** Whose signatures count: the publishers that the configuration names. */
import { z } from 'zod';
import { toEdgewiseError } from '../../errors.ts';
import { type Curve, curves } from './curve.ts';
import { fingerprintOf, type PublicKey, parsePublicKey } from './public-key.ts';

export interface TrustedPublisher {
  /** What records call the signer. */
  readonly name: string;
  readonly key: PublicKey;
}

type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;

/** A publisher, ready to verify with. */
export interface Signer {
  readonly name: string;
  readonly fingerprint: string;
  readonly curve: Curve;
  readonly key: Key;
}

export interface Publishers {
  /** Undefined for a key that nobody trusts. */
  find(fingerprint: string): Promise<Signer | undefined>;
}

/** `EDGEWISE_TRUSTED_PUBLISHERS`. One publisher may have several keys: while it changes from one to the next. */
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

/** Keys are imported when first asked for, and kept. Two that ask at once do it twice, and neither waits for the other. */
export function trustPublishers(trusted: readonly TrustedPublisher[]): Publishers {
  const signers = new Map<string, Signer>();
  return {
    async find(fingerprint) {
      const known = signers.get(fingerprint);
      if (known !== undefined) return known;
      for (const { name, key } of trusted) {
        if ((await fingerprintOf(key)) !== fingerprint) continue;
        const signer = { name, fingerprint, curve: curves[key.curve], key: await imported(key) };
        signers.set(fingerprint, signer);
        return signer;
      }
      return undefined;
    },
  };
}

function imported({ curve, spki }: PublicKey): Promise<Key> {
  return crypto.subtle.importKey('spki', spki, { name: 'ECDSA', namedCurve: curve }, true, ['verify']);
}
