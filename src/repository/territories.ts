/** Countries in terms: ISO 3166-1 alpha-2 codes, and groups of them. Both change, so the lists are dated. */

/**
 * Codes assigned on 2026-11-01 (ISO 3166-1). A code that is in common use but not assigned, such as `UK`, would match no
 * caller, so it is refused.
 */
const assigned = new Set(
  (
    'AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV BW BY BZ ' +
    'CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET FI FJ FK FM FO ' +
    'FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM IN IO IQ IR IS IT JE ' +
    'JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD ME MF MG MH MK ML MM MN MO ' +
    'MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE PF PG PH PK PL PM PN PR PS PT PW ' +
    'PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SV SX SY SZ TC TD TF TG TH TJ TK TL TM ' +
    'TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS YE YT ZA ZM ZW'
  ).split(' '),
);

const eu = 'AT BE BG CY CZ DE DK EE ES FI FR GR HR HU IE IT LT LU LV MT NL PL PT RO SE SI SK'.split(' ');

/** Member states of the European Union, and of the European Economic Area. */
const groups: ReadonlyMap<string, readonly string[]> = new Map([
  ['EU', eu],
  ['EEA', [...eu, 'IS', 'LI', 'NO']],
]);

export const territoryGroups = ['EU', 'EEA'] as const;

export function isCountry(code: string): boolean {
  return assigned.has(code);
}

/**
 * Reports whether `text` names a jurisdiction: two letters are a country or `eu`, in lower case; longer names are the
 * operator's to choose (`fedramp`).
 */
export function isJurisdiction(text: string): boolean {
  if (!/^[a-z][a-z-]{1,31}$/.test(text)) return false;
  return text.length > 2 || isCountry(text.toUpperCase()) || groups.has(text.toUpperCase());
}

/** Returns the countries of a group; for a country, the country itself. */
export function countriesOf(territory: string): readonly string[] {
  return groups.get(territory) ?? [territory];
}

/** Returns every country that one of `territories` names, by itself or in a group. */
export function countriesOfAll(territories: readonly string[]): ReadonlySet<string> {
  return new Set(territories.flatMap(countriesOf));
}
