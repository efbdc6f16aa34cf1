/** Receipts by their ids, receipts that are handed in, and the keys that verify them. */
import { createRoute, z } from '@hono/zod-openapi';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { Caller, TenantCaller } from '../../governance/accounts/caller.ts';
import { encodeEntry, entryOf, receiptHashOf } from '../../governance/log/entry.ts';
import { encodeProof } from '../../governance/log/proof.ts';
import { parseMeterTag } from '../../governance/receipt/meter-tag.ts';
import { maxReceiptLength, peekReceipt, readReceipt } from '../../governance/receipt/read.ts';
import type { Receipt } from '../../governance/receipt/schema.ts';
import { openReceipt, receiptTimeMs, sealReceipt } from '../../governance/vault/sealed-receipt.ts';
import { readBody } from '../body/request-body.ts';
import { requireAccount } from '../caller/account-access.ts';
import { requireHere } from '../caller/residency.ts';
import type { AppContext } from '../context.ts';
import { maxProofWaitMs, wantsLogged } from '../infer/record.ts';
import { requestHeaders } from '../openapi/headers.ts';
import { binaryBody, emptyResponse, jsonResponse, refusals } from '../openapi/responses.ts';
import type { Governance } from '../record/governance.ts';
import type { Services } from '../services.ts';
import { ApiRoutes } from './api-routes.ts';
import { ownOnly, requireEnabled } from './requirements.ts';

/** Verifiers may cache the keys for this long, so a new key is published (last in the set) this long before it signs. */
const jwksMaxAgeSeconds = 300;

const loggedReceiptSchema = z
  .object({
    receipt: z.string().openapi({ description: 'Compact JWS, as in the header Edgewise-Receipt.' }),
    proof: z.string().optional().openapi({
      description: 'C2SP tlog-proof; absent as long as the receipt is in no published checkpoint.',
    }),
  })
  .openapi('LoggedReceipt');
type LoggedReceipt = z.output<typeof loggedReceiptSchema>;

const getKeys = createRoute({
  method: 'get',
  path: '/.well-known/jwks.json',
  operationId: 'getKeys',
  tags: ['Receipts'],
  summary: 'Keys that receipts and signed answers are verified with',
  description: 'RFC 7517. May be cached for five minutes.',
  responses: {
    200: {
      ...emptyResponse('The keys', 'Cache-Control'),
      content: {
        'application/jwk-set+json': {
          schema: z.object({
            keys: z.array(
              z.object({
                kty: z.literal('OKP'),
                crv: z.literal('Ed25519'),
                x: z.string(),
                kid: z.string().openapi({ description: 'RFC 7638 thumbprint.' }),
                alg: z.literal('EdDSA'),
                use: z.literal('sig'),
              }),
            ),
          }),
        },
      },
    },
    ...refusals(404),
  },
});

const getReceipt = createRoute({
  method: 'get',
  path: '/v1/receipts/{id}',
  operationId: 'getReceipt',
  tags: ['Receipts'],
  summary: 'A receipt, and the proof that it is in the log',
  description:
    'A receipt of a tenant is for that tenant only. A receipt of an unauthenticated caller is for every caller who knows its id. An answer whose receipt is too long for a header names it in Edgewise-Receipt-Id.',
  request: {
    params: z.object({
      id: z
        .string()
        .regex(
          /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
          'expected a UUID of version 7',
        ),
    }),
    headers: [requestHeaders.jurisdiction],
  },
  responses: { 200: jsonResponse(loggedReceiptSchema, 'The receipt', 'Cache-Control'), ...refusals(404) },
});

const handInReceipt = createRoute({
  method: 'post',
  path: '/v1/receipts',
  operationId: 'handInReceipt',
  tags: ['Receipts'],
  summary: 'Hand in a receipt that may have missed the log',
  description:
    'The body is the compact JWS. A receipt that is in the log already stays as it is. With `Prefer: receipt=logged` the answer waits for the proof.',
  request: { body: binaryBody('text/plain'), headers: [requestHeaders.prefer] },
  responses: {
    200: jsonResponse(
      loggedReceiptSchema,
      'The receipt is in the log',
      'Cache-Control',
      'Preference-Applied',
    ),
    202: jsonResponse(loggedReceiptSchema, 'The receipt is on its way into the log', 'Cache-Control'),
    ...refusals(404, 507),
  },
});

export function receiptRoutes(services: Services) {
  const routes = new ApiRoutes(services);

  routes.open(getKeys, (c) =>
    c.json(requireReceipts(services).ring.publicJwks, 200, {
      'Content-Type': 'application/jwk-set+json',
      'Cache-Control': `public, max-age=${jwksMaxAgeSeconds}`,
    }),
  );

  routes.forCaller(getReceipt, async (c, caller) => {
    const governance = requireReceipts(services);
    const { compact, receipt } = await findReceipt(governance, c.req.valid('param').id, caller);
    if (caller.kind === 'tenant') requireReading(c, services, caller, receipt);
    return c.json(await withProof(governance, compact, 0), 200, ownOnly);
  });

  routes.forCaller(handInReceipt, async (c) => {
    const governance = requireReceipts(services);
    const compact = await readCompact(c);
    const receipt = await verifyOwnReceipt(governance, compact);
    await requireStorable(services, receipt);
    await append(governance, compact, receipt);
    const mustBeLogged = wantsLogged(c);
    const answer = await withProof(governance, compact, mustBeLogged ? maxProofWaitMs : 0);
    if (mustBeLogged && answer.proof === undefined) {
      throw new EdgewiseError(
        'records_unavailable',
        `the receipt was not in the log within ${maxProofWaitMs} ms; it is on its way, ask again for its proof`,
      );
    }
    if (answer.proof === undefined) return c.json(answer, 202, ownOnly);
    return c.json(answer, 200, {
      ...ownOnly,
      ...(mustBeLogged && { 'Preference-Applied': 'receipt=logged' }),
    });
  });
  return routes.app;
}

/** @throws EdgewiseError `not_found` on a server without receipts: an origin. */
export function requireReceipts({ governance }: Services): Governance {
  return requireEnabled(governance, 'receipts');
}

interface KeptReceipt {
  readonly compact: string;
  readonly receipt: Receipt;
}

/** @throws EdgewiseError `not_found`, also for a receipt of another caller: whether it exists is not disclosed */
async function findReceipt(governance: Governance, id: string, caller: Caller): Promise<KeptReceipt> {
  receiptTimeMs(id);
  const sealed = await governance.receipts.findSealed(id);
  const tenant = caller.kind === 'tenant' ? caller.tenant.id : undefined;
  const compact = sealed && (await openReceipt(governance.vault, id, sealed, tenant));
  const kept = compact === undefined ? undefined : { compact, receipt: peekReceipt(compact).receipt };
  if (kept === undefined || !mayFind(caller, kept.receipt)) {
    throw new EdgewiseError('not_found', `the caller has no receipt ${JSON.stringify(id)} here`);
  }
  return kept;
}

/**
 * Receipts without a tenant are sealed together: those of a key are found by that key and the admin, those of unauthenticated
 * callers by every caller. A tenant's receipts can be unsealed only for that tenant.
 */
function mayFind(caller: Caller, { caller: { credential, tenant } }: Receipt): boolean {
  if (tenant !== undefined || credential === undefined || caller.kind === 'admin') return true;
  return caller.kind === 'key' && caller.id === credential;
}

/**
 * A credential may read its own receipts. The receipts of the tenant's other credentials need access to the account.
 *
 * @throws EdgewiseError `forbidden`, `residency_unavailable`
 */
function requireReading(c: AppContext, services: Services, caller: TenantCaller, receipt: Receipt): void {
  if (receipt.caller.credential !== caller.id) {
    requireAccount(c, services, caller, 'read');
    return;
  }
  requireHere(caller, c.req.header('edgewise-jurisdiction'), services.placement.jurisdiction);
}

/**
 * Requires that the records of the receipt's tenant may be stored here, regardless of who hands the receipt in.
 *
 * @throws EdgewiseError `residency_unavailable`, `records_unavailable`
 */
async function requireStorable({ accounts, placement }: Services, { caller }: Receipt): Promise<void> {
  if (caller.tenant === undefined) return;
  const bond = (await accounts?.directory.tenant(caller.tenant))?.residency;
  if (bond === undefined || bond === placement.jurisdiction) return;
  throw new EdgewiseError(
    'residency_unavailable',
    `the receipt belongs to a tenant that is bound to "${bond}", and the storage of this server is elsewhere; hand it in at a server there`,
  );
}

async function withProof({ receipts }: Governance, compact: string, waitMs: number): Promise<LoggedReceipt> {
  const proof = await receipts.prove(await receiptHashOf(compact), waitMs);
  return { receipt: compact, proof: proof && encodeProof(proof) };
}

async function readCompact(c: AppContext): Promise<string> {
  const limits = { maxBytes: maxReceiptLength, maxDecompressedBytes: maxReceiptLength };
  return new TextDecoder().decode(await readBody(c, limits)).trim();
}

/** @throws EdgewiseError `invalid_request` for a receipt that this server did not sign, or signed for another log */
export async function verifyOwnReceipt({ ring, logKey }: Governance, compact: string): Promise<Receipt> {
  const { receipt } = await readReceipt(compact, ring.verifying).catch((thrown: unknown) => {
    const error = toEdgewiseError(thrown);
    // The caller sent the receipt, so the fault is not the server's.
    throw error.code === 'signature_invalid' ? new EdgewiseError('invalid_request', error.message) : error;
  });
  if (receipt.log !== logKey.origin) {
    throw new EdgewiseError(
      'invalid_request',
      `the receipt belongs to the log ${receipt.log}; expected ${logKey.origin}`,
    );
  }
  return receipt;
}

/** Appends the receipt as the isolate that issued it would have done. A receipt that is in the log already stays as it is. */
async function append({ receipts, vault }: Governance, compact: string, receipt: Receipt): Promise<void> {
  const { tag, units } = receipt.meter;
  const [entry, sealed] = await Promise.all([
    entryOf(compact, parseMeterTag(tag), units),
    sealReceipt(vault, receipt, compact),
  ]);
  await receipts.append([{ id: receipt.id, entry: encodeEntry(entry), sealed }]);
}
