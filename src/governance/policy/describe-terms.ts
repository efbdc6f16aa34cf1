/** Describes terms to users: in sentences, with verified facts separate from declared ones. */
import type { Manifest } from '../../repository/schema.ts';
import type { Terms } from '../../repository/terms.ts';
import type { Digest } from '../../storage/types.ts';
import { type OdrlOffer, offerOf } from './odrl.ts';

/** A version whose signature was verified. */
export interface TermsOf {
  readonly manifest: Manifest;
  readonly manifestDigest: Digest;
  readonly signed: { readonly root: Digest; readonly bundle: Digest; readonly signer: string };
}

export interface DescribedTerms {
  readonly model: string;
  readonly version: string;
  /** For people. */
  readonly summary: readonly string[];
  readonly licence: {
    readonly spdx: string;
    readonly text: { readonly digest: Digest; readonly byteLength: number; readonly url: string };
    readonly acceptance: Terms['licence']['acceptance'];
  };
  /** Verified by this server: digests of bytes, and a signature over them by a trusted key. */
  readonly checked: {
    readonly root: Digest;
    readonly manifest: Digest;
    readonly licenceText: Digest;
    readonly signature: { readonly bundle: Digest; readonly signer: string };
  };
  /** Declared and signed by the creator; not verified. */
  readonly declared: Pick<Terms, 'creator' | 'trainingData' | 'kind'> & {
    readonly marking: Terms['marking'] | null;
    readonly description: string;
  };
  /** Enforced by the gate on each request. */
  readonly enforced: Omit<Terms, 'creator' | 'licence' | 'trainingData' | 'kind' | 'marking'>;
  readonly odrl: OdrlOffer;
}

export function describeTerms({ manifest, manifestDigest, signed }: TermsOf): DescribedTerms {
  const { name, version, description, terms } = manifest;
  const { creator, licence, trainingData, kind, marking, ...enforced } = terms;
  return {
    model: name,
    version,
    summary: summariseTerms(terms),
    licence: {
      spdx: licence.spdx,
      text: {
        digest: licence.text,
        byteLength: licence.byteLength,
        url: licenceTextPath(name, licence.text),
      },
      acceptance: licence.acceptance,
    },
    checked: {
      root: signed.root,
      manifest: manifestDigest,
      licenceText: licence.text,
      signature: { bundle: signed.bundle, signer: signed.signer },
    },
    declared: { creator, trainingData, kind, marking: marking ?? null, description },
    enforced,
    odrl: offerOf(terms, { name, root: signed.root }),
  };
}

export function licenceTextPath(model: string, text: Digest): string {
  return `/v1/licences/${encodeURIComponent(text)}?model=${encodeURIComponent(model)}`;
}

const dutySentences: Record<Terms['duties'][number], (terms: Terms) => string> = {
  attribute: ({ attribution }) => `Show this line where you use it: ${attribution}`,
  'ai-label': () => 'Label its outputs as machine-made.',
  'pass-on': () => 'If you pass the model on, pass these terms on with it.',
};

/** Returns the terms in sentences, one for each field. */
export function summariseTerms(terms: Terms): readonly string[] {
  const { creator, licence, territories, notBefore, notAfter, quota, royalty, duties, trainingData } = terms;
  const contact = creator.contact ?? creator.url;
  return [
    `Its creator is ${creator.name}${contact === undefined ? '' : ` (${contact})`}; its licence is ${licence.spdx}.`,
    ...(licence.acceptance === 'required'
      ? [
          'A tenant has to accept the licence text before it uses the model: POST /v1/acceptances, with a key whose scope account is "manage".',
        ]
      : []),
    describeUse(terms),
    ...describeList('purposes', terms.purposes, 'as declared with the header Edgewise-Purpose or by the key'),
    ...describeList('fields of use', terms.fieldsOfUse, "according to the tenant's record"),
    ...describeList('territories', territories, basisWords[territories.basis]),
    ...(notBefore === undefined ? [] : [`It may be used from ${notBefore}.`]),
    ...(notAfter === undefined ? [] : [`It may be used until ${notAfter}.`]),
    ...(quota === undefined
      ? []
      : [
          `At most ${quota.units} units ${perWords[quota.per]} under the licence alone; grants have their own quotas.`,
        ]),
    ...(royalty === undefined
      ? []
      : [
          `A unit costs ${royalty.amount} ${royalty.currency} under the licence alone; grants have their own prices.`,
        ]),
    ...duties.map((duty) => dutySentences[duty](terms)),
    terms.weightsMayLeave ? 'Its weights may leave the server.' : 'Its weights stay on the server.',
    'Data that callers send is not used for training.',
    `Training data, as declared by the creator: ${trainingData.statement} Personal data: ${trainingData.personalData}.`,
  ];
}

const perWords = { day: 'a day', month: 'a calendar month', total: 'in total' };
const basisWords = {
  'tenant-establishment':
    'decided by where the tenant is established; a connection from elsewhere is refused',
  connection: 'decided by where the connection comes from',
  both: 'decided by where the tenant is established and where the connection comes from',
};

function describeUse({ grant, anonymous }: Terms): string {
  if (grant === 'required')
    return 'Its use requires a grant, which the operator of this server manages for the creator.';
  return anonymous
    ? 'The licence alone permits its use, also without a key if this server opens it.'
    : 'The licence alone permits its use, with a key.';
}

function describeList(
  what: string,
  { permit, deny }: { readonly permit: '*' | readonly string[]; readonly deny: readonly string[] },
  basis: string,
): readonly string[] {
  if (permit === '*' && deny.length === 0) return [];
  const permitted = permit === '*' ? 'all' : permit.join(', ');
  const denied = deny.length === 0 ? '' : `, but not ${deny.join(', ')}`;
  return [`Permitted ${what}: ${permitted}${denied}, ${basis}.`];
}
