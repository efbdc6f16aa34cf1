/** Terms for who is to keep them: in sentences, and with what was checked apart from what is only declared. */
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
  /** What this server has verified: digests of bytes, and a signature over them by a key that it trusts. */
  readonly checked: {
    readonly root: Digest;
    readonly manifest: Digest;
    readonly licenceText: Digest;
    readonly signature: { readonly bundle: Digest; readonly signer: string };
  };
  /** What the creator says, signed by them and verified by nobody. */
  readonly declared: Pick<Terms, 'creator' | 'trainingData' | 'kind'> & {
    readonly marking: Terms['marking'] | null;
    readonly description: string;
  };
  /** What the gate decides by, on each request. */
  readonly enforced: Omit<Terms, 'creator' | 'licence' | 'trainingData' | 'kind' | 'marking'>;
  readonly odrl: OdrlOffer;
}

export function describeTerms({ manifest, manifestDigest, signed }: TermsOf): DescribedTerms {
  const { name, version, description, terms } = manifest;
  const { creator, licence, trainingData, kind, marking, ...enforced } = terms;
  return {
    model: name,
    version,
    summary: sentencesOf(terms),
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
  'ai-label': () => 'Label what it puts out as made by a machine.',
  'pass-on': () => 'Pass these terms on to whom you pass the model on to.',
};

/** One for each thing that the terms say. */
export function sentencesOf(terms: Terms): readonly string[] {
  const { creator, licence, territories, notBefore, notAfter, quota, royalty, duties, trainingData } = terms;
  const contact = creator.contact ?? creator.url;
  return [
    `Its creator is ${creator.name}${contact === undefined ? '' : ` (${contact})`}; its licence is ${licence.spdx}.`,
    ...(licence.acceptance === 'required'
      ? [
          'A tenant has to accept the licence text before it uses the model: POST /v1/acceptances, with a key whose scope account is "manage".',
        ]
      : []),
    useSentence(terms),
    ...listSentence('purposes', terms.purposes, 'as declared with the header Edgewise-Purpose or by the key'),
    ...listSentence('fields of use', terms.fieldsOfUse, 'as told by the record of the tenant'),
    ...listSentence('territories', territories, basisWords[territories.basis]),
    ...(notBefore === undefined ? [] : [`It may be used from ${notBefore} on.`]),
    ...(notAfter === undefined ? [] : [`It may be used until ${notAfter}.`]),
    ...(quota === undefined
      ? []
      : [
          `At most ${quota.units} units ${perWords[quota.per]} by the licence alone; grants have quotas of their own.`,
        ]),
    ...(royalty === undefined
      ? []
      : [
          `A unit costs ${royalty.amount} ${royalty.currency} by the licence alone; grants have prices of their own.`,
        ]),
    ...duties.map((duty) => dutySentences[duty](terms)),
    terms.weightsMayLeave ? 'Its weights may leave the server.' : 'Its weights stay on the server.',
    'Nothing that callers send is trained with.',
    `Of its training data the creator says: ${trainingData.statement} Personal data in it: ${trainingData.personalData}.`,
  ];
}

const perWords = { day: 'a day', month: 'a calendar month', total: 'in all' };
const basisWords = {
  'tenant-establishment':
    'as told by where the tenant is established; a connection from elsewhere is refused',
  connection: 'as told by where the connection comes from',
  both: 'as told by where the tenant is established and where the connection comes from',
};

function useSentence({ grant, anonymous }: Terms): string {
  if (grant === 'required')
    return 'It is used with a grant, which the operator of this server keeps for the creator.';
  return anonymous
    ? 'The licence alone permits its use, where this server opens it also without a key.'
    : 'The licence alone permits its use, with a key.';
}

function listSentence(
  what: string,
  { permit, deny }: { readonly permit: '*' | readonly string[]; readonly deny: readonly string[] },
  told: string,
): readonly string[] {
  if (permit === '*' && deny.length === 0) return [];
  const permitted = permit === '*' ? 'all' : permit.join(', ');
  const denied = deny.length === 0 ? '' : `, but not ${deny.join(', ')}`;
  return [`Permitted ${what}: ${permitted}${denied}, ${told}.`];
}
