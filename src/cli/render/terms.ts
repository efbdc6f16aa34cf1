/** A model's terms as text for people. */
import type { Terms } from '../../repository/terms.ts';
import type { Row } from './tables.ts';

type Choice = { readonly permit: '*' | readonly string[]; readonly deny: readonly string[] };

export function termsRows(terms: Terms): readonly Row[] {
  const { creator, licence, trainingData } = terms;
  return [
    ['creator', [creator.name, creator.url].filter(Boolean).join(', ')],
    ['licence', `${licence.spdx}, acceptance ${licence.acceptance}`],
    ['licence text', licence.text],
    ['use', useText(terms)],
    ['purposes', choiceText(terms.purposes)],
    ['fields of use', choiceText(terms.fieldsOfUse)],
    ['territories', `${choiceText(terms.territories)}, by ${terms.territories.basis}`],
    ...dateRows(terms),
    ...quotaRows(terms),
    ['duties', terms.duties.join(', ') || '–'],
    ...(terms.attribution === undefined ? [] : [['attribution', terms.attribution] satisfies Row]),
    ['weights', terms.weightsMayLeave ? 'may leave the server' : 'may not leave the server'],
    ['training data', `${trainingData.statement} Personal data: ${trainingData.personalData}. (declared)`],
    ['usage data', 'not trained with'],
    ['kind', terms.marking === undefined ? terms.kind : `${terms.kind}, marked by ${terms.marking.method}`],
  ];
}

function useText({ grant, anonymous }: Terms): string {
  if (grant === 'required') return 'with a grant';
  return anonymous ? 'by the licence, also by unauthenticated callers' : 'by the licence';
}

function choiceText({ permit, deny }: Choice): string {
  const permitted = permit === '*' ? 'all' : permit.join(', ');
  return deny.length === 0 ? permitted : `${permitted}, but not ${deny.join(', ')}`;
}

function dateRows({ notBefore, notAfter }: Terms): readonly Row[] {
  if (notBefore === undefined && notAfter === undefined) return [];
  return [['dates', `${notBefore ?? '…'} to ${notAfter ?? '…'}`]];
}

function quotaRows({ quota, royalty }: Terms): readonly Row[] {
  return [
    ...(quota === undefined ? [] : [['quota', `${quota.units} units per ${quota.per}`] satisfies Row]),
    ...(royalty === undefined
      ? []
      : [['royalty', `${royalty.amount} ${royalty.currency} per ${royalty.per}`] satisfies Row]),
  ];
}
