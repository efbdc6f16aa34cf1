/** A model's terms for people: one row for each thing that they say. */
import type { Terms } from '../../repository/terms.ts';

type Choice = { readonly permit: '*' | readonly string[]; readonly deny: readonly string[] };

export function termsRows(terms: Terms): [string, string][] {
  const { creator, licence, trainingData } = terms;
  return [
    ['creator', [creator.name, creator.url].filter(Boolean).join(', ')],
    ['licence', `${licence.spdx}, acceptance ${licence.acceptance}`],
    ['licence text', licence.text],
    ['use', useOf(terms)],
    ['purposes', choice(terms.purposes)],
    ['fields of use', choice(terms.fieldsOfUse)],
    ['territories', `${choice(terms.territories)}, by ${terms.territories.basis}`],
    ...datesRow(terms),
    ...quotaRows(terms),
    ['duties', terms.duties.join(', ') || '–'],
    ...(terms.attribution === undefined ? [] : [row('attribution', terms.attribution)]),
    ['weights', terms.weightsMayLeave ? 'may leave the server' : 'may not leave the server'],
    ['training data', `${trainingData.statement} Personal data: ${trainingData.personalData}. (declared)`],
    ['usage data', 'not trained with'],
    ['kind', terms.marking === undefined ? terms.kind : `${terms.kind}, marked by ${terms.marking.method}`],
  ];
}

function useOf({ grant, anonymous }: Terms): string {
  if (grant === 'required') return 'with a grant';
  return anonymous ? 'by the licence alone, also by callers without a key' : 'by the licence alone';
}

function choice({ permit, deny }: Choice): string {
  const permitted = permit === '*' ? 'all' : permit.join(', ');
  return deny.length === 0 ? permitted : `${permitted}, but not ${deny.join(', ')}`;
}

function datesRow({ notBefore, notAfter }: Terms): [string, string][] {
  if (notBefore === undefined && notAfter === undefined) return [];
  return [row('dates', `${notBefore ?? '…'} to ${notAfter ?? '…'}`)];
}

function quotaRows({ quota, royalty }: Terms): [string, string][] {
  return [
    ...(quota === undefined ? [] : [row('quota', `${quota.units} units per ${quota.per}`)]),
    ...(royalty === undefined
      ? []
      : [row('royalty', `${royalty.amount} ${royalty.currency} per ${royalty.per}`)]),
  ];
}

function row(name: string, value: string): [string, string] {
  return [name, value];
}
