/**
 * Governance configuration of an edge: its issuer, and the keys that sign receipts, encrypt records and tag meters. The
 * secrets have no default, because an edge without them could not prove its answers.
 */
import { z } from 'zod';
import { parseSignerKey, parseVerifierKey } from '../governance/log/note-keys.ts';
import { importSigningKeys, type KeyRing } from '../governance/receipt/keys.ts';
import { createMeterTagger, type MeterTagger } from '../governance/receipt/meter-tag.ts';
import { importRecordsKeys, type RecordsKeys } from '../governance/vault/records-keys.ts';
import { list } from './variables.ts';

const generated = 'expected the value that `edgewise secrets generate` prints';

export const governanceVariables = {
  /** Who is responsible for this deployment: a name or an address, on every receipt. */
  EDGEWISE_ISSUER: z.string().min(1).max(200).default('edgewise'),
  /** Secret. The keys that sign receipts, as a JWKS of Ed25519 keys: the first signs, the others only verify. */
  EDGEWISE_SIGNING_KEYS: z.string({ error: generated }).min(1, generated),
  /** Secret. The key that signs the log's checkpoints; its name is the log's name. */
  EDGEWISE_LOG_KEY: z.string({ error: generated }).min(1, generated),
  /** Secret. The keys that encrypt stored records, separated by commas: the first encrypts, the others only decrypt. */
  EDGEWISE_RECORDS_KEYS: list.pipe(z.array(z.string()).min(1, generated)),
  /** Verifier keys of the witnesses whose signatures under a checkpoint are accepted, separated by commas. */
  EDGEWISE_WITNESSES: list,
};

type GovernanceValues = z.output<z.ZodObject<typeof governanceVariables>>;

export interface GovernanceConfig {
  readonly issuer: string;
  readonly signingKeys: string;
  readonly logKey: string;
  readonly recordsKeys: readonly string[];
  readonly witnesses: readonly string[];
}

export function governanceConfig(values: GovernanceValues): GovernanceConfig {
  return {
    issuer: values.EDGEWISE_ISSUER,
    signingKeys: values.EDGEWISE_SIGNING_KEYS,
    logKey: values.EDGEWISE_LOG_KEY,
    recordsKeys: values.EDGEWISE_RECORDS_KEYS,
    witnesses: values.EDGEWISE_WITNESSES,
  };
}

export interface GovernanceKeys {
  readonly issuer: string;
  readonly ring: KeyRing;
  readonly records: RecordsKeys;
  readonly tagger: MeterTagger;
  /** Name of the log, and the key that verifies its checkpoints. */
  readonly log: { readonly origin: string; readonly verifierKey: string };
}

/** @throws EdgewiseError `invalid_request` naming the unusable key, never its value. */
export async function importGovernanceKeys(config: GovernanceConfig): Promise<GovernanceKeys> {
  const [ring, records, tagger, signer] = await Promise.all([
    importSigningKeys(config.signingKeys),
    importRecordsKeys(config.recordsKeys),
    createMeterTagger(config.recordsKeys),
    parseSignerKey(config.logKey),
    ...config.witnesses.map(parseVerifierKey),
  ]);
  const log = { origin: signer.name, verifierKey: signer.verifierKey };
  return { issuer: config.issuer, ring, records, tagger, log };
}
