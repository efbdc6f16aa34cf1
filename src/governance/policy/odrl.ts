/**
 * Terms as an ODRL 2.2 offer (W3C Information Model, Vocabulary & Expression), for programs that read ODRL. Concepts that ODRL
 * lacks have words with the prefix `edgewise:`. The gate does not use this form; it decides by the terms themselves.
 */
import type { Duty, Terms } from '../../repository/terms.ts';
import type { Digest } from '../../storage/types.ts';

export interface OdrlConstraint {
  readonly leftOperand: string;
  readonly operator: 'isAnyOf' | 'isNoneOf' | 'gteq' | 'lt' | 'lteq' | 'eq';
  readonly rightOperand: string | number | readonly string[];
  readonly unit?: string;
}

export interface OdrlRule {
  readonly target: string;
  readonly action: string;
  readonly constraint?: readonly OdrlConstraint[];
  readonly duty?: readonly { readonly action: string; readonly constraint?: readonly OdrlConstraint[] }[];
}

export interface OdrlOffer {
  readonly '@context': readonly unknown[];
  readonly '@type': 'Offer';
  readonly uid: string;
  readonly assigner: string;
  readonly permission: readonly OdrlRule[];
  readonly prohibition: readonly OdrlRule[];
}

const context = ['http://www.w3.org/ns/odrl.jsonld', { edgewise: 'urn:edgewise:terms:' }];

const dutyActions: Record<Duty, string> = {
  attribute: 'attribute',
  'ai-label': 'edgewise:aiLabel',
  'pass-on': 'nextPolicy',
};

/** Returns the offer for the model `name`; `root` is the root digest of the version's signature. */
export function offerOf(
  terms: Terms,
  { name, root }: { readonly name: string; readonly root: Digest },
): OdrlOffer {
  const target = `urn:${root}`;
  const constraint = constraintsOf(terms);
  const duty = dutiesOf(terms);
  const bounds = { ...(constraint.length > 0 && { constraint }), ...(duty.length > 0 && { duty }) };
  const actions = ['edgewise:infer', 'edgewise:explain'];
  const distribution = { target, action: 'distribute' };
  return {
    '@context': context,
    '@type': 'Offer',
    uid: `urn:edgewise:offer:${encodeURIComponent(name)}:${root}`,
    assigner: terms.creator.url ?? terms.creator.name,
    permission: [
      ...actions.map((action) => ({ target, action, ...bounds })),
      ...(terms.weightsMayLeave ? [{ ...distribution, ...bounds }] : []),
    ],
    prohibition: [
      ...(terms.weightsMayLeave ? [] : [distribution]),
      { target, action: 'edgewise:trainWithUsageData' },
    ],
  };
}

function constraintsOf(terms: Terms): OdrlConstraint[] {
  const { purposes, fieldsOfUse, territories, notBefore, notAfter, quota } = terms;
  return [
    ...constrainList('purpose', purposes),
    ...constrainList('edgewise:fieldOfUse', fieldsOfUse),
    ...constrainList('spatial', territories),
    ...(notBefore === undefined ? [] : [constrain('dateTime', 'gteq', notBefore)]),
    ...(notAfter === undefined ? [] : [constrain('dateTime', 'lt', notAfter)]),
    ...(quota === undefined
      ? []
      : [{ ...constrain('count', 'lteq', quota.units), unit: `edgewise:per-${quota.per}` }]),
  ];
}

function constrainList(
  leftOperand: string,
  { permit, deny }: { readonly permit: '*' | readonly string[]; readonly deny: readonly string[] },
): OdrlConstraint[] {
  return [
    ...(permit === '*' ? [] : [constrain(leftOperand, 'isAnyOf', permit)]),
    ...(deny.length === 0 ? [] : [constrain(leftOperand, 'isNoneOf', deny)]),
  ];
}

function constrain(
  leftOperand: string,
  operator: OdrlConstraint['operator'],
  rightOperand: OdrlConstraint['rightOperand'],
): OdrlConstraint {
  return { leftOperand, operator, rightOperand };
}

function dutiesOf({ duties, licence, grant, royalty }: Terms): NonNullable<OdrlRule['duty']>[number][] {
  return [
    ...(licence.acceptance === 'required' ? [{ action: 'edgewise:acceptLicence' }] : []),
    ...(grant === 'required' ? [{ action: 'edgewise:obtainGrant' }] : []),
    ...duties.map((duty) => ({ action: dutyActions[duty] })),
    ...(royalty === undefined
      ? []
      : [
          {
            action: 'compensate',
            constraint: [{ ...constrain('payAmount', 'eq', royalty.amount), unit: royalty.currency }],
          },
        ]),
  ];
}
