/**
 * Every revision of a grant, signed by the operator and stored under its digest, which receipts name. So the holder of a
 * receipt can be shown the grant as it was when the receipt was made.
 */
import { z } from 'zod';
import { digestSchema } from '../../repository/common-schema.ts';
import { decodeStored } from '../../repository/documents.ts';
import { digestHex, digestOf } from '../../storage/digest.ts';
import type { StateStore } from '../../storage/types.ts';
import { canonicalJson } from '../canonical-json.ts';
import type { ServerSigningKey } from '../receipt/keys.ts';
import { signDocument } from '../signed-document.ts';
import { accountIdForm, accountIdSchema, type Grant } from './schema.ts';

export const grantRevisionSchemaId = 'edgewise.grant-revision.v1';
/** `typ` of the JWS header. */
export const grantRevisionType = 'edgewise-grant+jws';

/** `grants/<id>/<hex of the digest>.json` */
const storedSchema = z.strictObject({
  schema: z.literal(grantRevisionSchemaId),
  grant: accountIdSchema,
  /** SHA-256 of the grant's canonical JSON. */
  digest: digestSchema,
  at: z.iso.datetime(),
  /** Compact JWS over canonical JSON: `{at, digest, grant, issuer, schema, tenant}`. */
  signed: z.string(),
});
export const grantRevisionSchema = storedSchema.pick({ digest: true, at: true, signed: true });
export type GrantRevision = z.output<typeof grantRevisionSchema>;

export interface GrantRevisionsOptions {
  readonly state: StateStore;
  readonly signing: ServerSigningKey;
  readonly issuer: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
}

export interface GrantRevisions {
  /** Signs and stores the present revision. A revision that is stored already keeps its first signature. */
  keep(tenant: string, grant: Grant): Promise<void>;
  /** Returns the revisions of a grant, oldest first. */
  list(id: string): Promise<readonly GrantRevision[]>;
  /** Deletes the revisions of a grant whose tenant is erased. */
  forget(id: string): Promise<void>;
}

export function createGrantRevisions({ state, signing, issuer, now }: GrantRevisionsOptions): GrantRevisions {
  const folderOf = (id: string) => `grants/${id}/`;

  return {
    async keep(tenant, grant) {
      const digest = await digestOf(new Uint8Array(new TextEncoder().encode(canonicalJson(grant))));
      const key = `${folderOf(grant.id)}${digestHex(digest)}.json`;
      if ((await state.get(key)) !== undefined) return;
      const at = new Date(now()).toISOString();
      const payload = { schema: grantRevisionSchemaId, issuer, at, tenant, digest, grant };
      const signed = await signDocument(payload, grantRevisionType, signing);
      const stored = { schema: grantRevisionSchemaId, grant: grant.id, digest, at, signed };
      await state.put(key, JSON.stringify(stored), { ifAbsent: true });
    },
    async list(id) {
      if (!accountIdForm.test(id)) return [];
      const revisions: GrantRevision[] = [];
      for (const key of await state.list(folderOf(id))) {
        const entry = await state.get(key);
        if (entry === undefined) continue;
        const { digest, at, signed } = decodeStored(storedSchema, entry.value, `a revision of grant ${id}`);
        revisions.push({ digest, at, signed });
      }
      return revisions.sort((one, other) => (one.at < other.at ? -1 : 1));
    },
    async forget(id) {
      for (const key of await state.list(folderOf(id))) {
        const entry = await state.get(key);
        if (entry !== undefined) await state.delete(key, { ifMatch: entry.etag });
      }
    },
  };
}
