/** Receipts by their ids, receipts that are handed in, and the keys that all of them are verified with. */
import { Hono } from 'hono';
import { EdgewiseError, toEdgewiseError } from '../../errors.ts';
import type { Caller, TenantCaller } from '../../governance/accounts/caller.ts';
import { encodeEntry, entryOf, receiptHashOf } from '../../governance/log/entry.ts';
import { encodeProof } from '../../governance/log/proof.ts';
import { tagOf } from '../../governance/receipt/meter-tag.ts';
import { maxReceiptLength, peekReceipt, readReceipt } from '../../governance/receipt/read.ts';
import type { Receipt } from '../../governance/receipt/schema.ts';
import { openReceipt, receiptTimeMs, sealReceipt } from '../../governance/vault/sealed-receipt.ts';
import { readBody } from '../body/request-body.ts';
import { requireAccount } from '../caller/account-access.ts';
import { identifyCaller } from '../caller/identify.ts';
import { requireHere } from '../caller/residency.ts';
import type { AppContext, AppEnv } from '../context.ts';
import { maxProofWaitMs, wantsLogged } from '../infer/record.ts';
import type { Governance } from '../record/governance.ts';
import type { Services } from '../services.ts';

/** Verifiers may hold the keys for so long: a new key is to be published (last in the set) so long before it signs. */
const jwksMaxAgeSeconds = 300;

/** To be mounted at `/.well-known`. */
export function receiptKeyRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();
  app.get('/jwks.json', (c) =>
    c.json(governanceOf(services).ring.publicJwks, 200, {
      'Content-Type': 'application/jwk-set+json',
      'Cache-Control': `public, max-age=${jwksMaxAgeSeconds}`,
    }),
  );
  return app;
}

/** To be mounted at `/v1`. */
export function receiptRoutes(services: Services): Hono<AppEnv> {
  const app = new Hono<AppEnv>();

  app.get('/receipts/:id', async (c) => {
    const caller = await identifyCaller(c, services);
    const governance = governanceOf(services);
    const { compact, receipt } = await keptReceipt(governance, c.req.param('id'), caller);
    if (caller.kind === 'tenant') requireReading(c, services, caller, receipt);
    return c.json(await shown(governance, compact, 0), 200, ownOnly);
  });

  app.post('/receipts', async (c) => {
    await identifyCaller(c, services);
    const governance = governanceOf(services);
    const compact = await givenReceipt(c);
    const receipt = await ownReceipt(governance, compact);
    await requireKept(services, receipt);
    await append(governance, compact, receipt);
    const isWanted = wantsLogged(c);
    const answer = await shown(governance, compact, isWanted ? maxProofWaitMs : 0);
    if (isWanted && answer.proof === undefined) {
      throw new EdgewiseError(
        'records_unavailable',
        `the receipt was not in the log within ${maxProofWaitMs} ms; it is on its way, ask again for its proof`,
      );
    }
    return c.json(answer, answer.proof === undefined ? 202 : 200, {
      ...ownOnly,
      ...(isWanted && { 'Preference-Applied': 'receipt=logged' }),
    });
  });
  return app;
}

const ownOnly = { 'Cache-Control': 'private, no-store' };

export function governanceOf({ governance }: Services): Governance {
  if (governance === undefined) {
    throw new EdgewiseError('not_found', 'this server gives no receipts: it answers to an edge, which does');
  }
  return governance;
}

interface KeptReceipt {
  readonly compact: string;
  readonly receipt: Receipt;
}

/** Anybody else is told nothing, not even that it is there. */
async function keptReceipt(governance: Governance, id: string, caller: Caller): Promise<KeptReceipt> {
  receiptTimeMs(id);
  const sealed = await governance.receipts.sealed(id);
  const tenant = caller.kind === 'tenant' ? caller.tenant.id : undefined;
  const compact = sealed && (await openReceipt(governance.vault, id, sealed, tenant));
  const kept = compact === undefined ? undefined : { compact, receipt: peekReceipt(compact).receipt };
  if (kept === undefined || !mayFind(caller, kept.receipt)) {
    throw new EdgewiseError('not_found', `there is no receipt ${JSON.stringify(id)} of yours here`);
  }
  return kept;
}

/** Receipts of keys without a tenant are sealed together: each key finds its own. */
function mayFind(caller: Caller, { caller: { credential, tenant } }: Receipt): boolean {
  if (tenant !== undefined || credential === undefined || caller.kind === 'admin') return true;
  return caller.kind === 'key' && caller.id === credential;
}

/** What a credential was given it may read again; what others of its tenant were given is for those who read the account. */
function requireReading(c: AppContext, services: Services, caller: TenantCaller, receipt: Receipt): void {
  if (receipt.caller.credential !== caller.id) {
    requireAccount(c, services, caller, 'read');
    return;
  }
  requireHere(caller, c.req.header('edgewise-jurisdiction'), services.placement.jurisdiction);
}

/**
 * Whoever hands a receipt in: it is stored here only if its tenant's records may be.
 *
 * @throws EdgewiseError `residency_unavailable`, `records_unavailable`
 */
async function requireKept({ accounts, placement }: Services, { caller }: Receipt): Promise<void> {
  if (caller.tenant === undefined) return;
  const bond = (await accounts?.directory.tenant(caller.tenant))?.residency;
  if (bond === undefined || bond === placement.jurisdiction) return;
  throw new EdgewiseError(
    'residency_unavailable',
    `the receipt is of a tenant that is bound to "${bond}", and the storage of this server is not there: hand it in at a server of that place`,
  );
}

interface ShownReceipt {
  readonly receipt: string;
  /** Undefined as long as it is in no published checkpoint. */
  readonly proof: string | undefined;
}

async function shown({ receipts }: Governance, compact: string, waitMs: number): Promise<ShownReceipt> {
  const proof = await receipts.prove(await receiptHashOf(compact), waitMs);
  return { receipt: compact, proof: proof && encodeProof(proof) };
}

/** The body: a compact JWS as it is. */
async function givenReceipt(c: AppContext): Promise<string> {
  const limits = { maxBytes: maxReceiptLength, maxDecompressedBytes: maxReceiptLength };
  return new TextDecoder().decode(await readBody(c, limits)).trim();
}

/** @throws EdgewiseError `invalid_request` for what this server has not signed, or signed for another log. */
export async function ownReceipt({ ring, logKey }: Governance, compact: string): Promise<Receipt> {
  const { receipt } = await readReceipt(compact, ring.verifying).catch((thrown: unknown) => {
    const error = toEdgewiseError(thrown);
    // Here it is the caller's to see what is wrong with it.
    throw error.code === 'signature_invalid' ? new EdgewiseError('invalid_request', error.message) : error;
  });
  if (receipt.log !== logKey.origin) {
    throw new EdgewiseError(
      'invalid_request',
      `the receipt belongs into the log ${receipt.log}, this is ${logKey.origin}`,
    );
  }
  return receipt;
}

/** As its own isolate would have done; what the log has already it leaves as it is. */
async function append({ receipts, vault }: Governance, compact: string, receipt: Receipt): Promise<void> {
  const { tag, units } = receipt.meter;
  const [entry, sealed] = await Promise.all([
    entryOf(compact, tagOf(tag), units),
    sealReceipt(vault, receipt, compact),
  ]);
  await receipts.append([{ id: receipt.id, entry: encodeEntry(entry), sealed }]);
}
