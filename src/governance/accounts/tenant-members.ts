/** Grants and acceptances, as members of their tenant's document. */
import { EdgewiseError } from '../../errors.ts';
import type { Grant, GrantChange, Tenant } from './schema.ts';

export type MemberField = 'grants' | 'acceptances';
export type Member<F extends MemberField> = Tenant[F][number];

const memberNames = { grants: 'grant', acceptances: 'acceptance' } as const;

/** Returns the tenant's member with this id. @throws EdgewiseError `not_found` */
export function findMember<F extends MemberField>(tenant: Tenant, field: F, id: string): Member<F> {
  const members: readonly Member<F>[] = tenant[field];
  const member = members.find((each) => each.id === id);
  if (member !== undefined) return member;
  const shownId = JSON.stringify(id.slice(0, 60));
  throw new EdgewiseError('not_found', `tenant ${tenant.id} has no ${memberNames[field]} ${shownId}`);
}

/** Returns the tenant with one more member. @throws EdgewiseError `conflict` if it has a member with the same id. */
export function addMember<F extends MemberField>(tenant: Tenant, field: F, member: Member<F>): Tenant {
  const members: readonly Member<F>[] = tenant[field];
  if (members.some(({ id }) => id === member.id)) {
    throw new EdgewiseError(
      'conflict',
      `${memberNames[field]} ${member.id} of tenant ${tenant.id} already exists; choose another id`,
    );
  }
  return { ...tenant, [field]: [...members, member] };
}

/** Returns the tenant with one member changed; the same tenant if `change` returns the same member. @throws as `findMember` */
export function replaceMember<F extends MemberField>(
  tenant: Tenant,
  field: F,
  id: string,
  change: (member: Member<F>) => Member<F>,
): Tenant {
  const member = findMember(tenant, field, id);
  const after = change(member);
  if (after === member) return tenant;
  const members: readonly Member<F>[] = tenant[field];
  return { ...tenant, [field]: members.map((each) => (each === member ? after : each)) };
}

/** Returns the changed grant. @throws EdgewiseError `invalid_request` for a grant that would end before it begins. */
export function applyGrantChange(grant: Grant, { quota, notBefore, notAfter }: GrantChange): Grant {
  const { quota: _, notBefore: __, notAfter: ___, ...rest } = grant;
  const next = {
    quota: quota === undefined ? grant.quota : (quota ?? undefined),
    notBefore: notBefore === undefined ? grant.notBefore : (notBefore ?? undefined),
    notAfter: notAfter === undefined ? grant.notAfter : (notAfter ?? undefined),
  };
  if (
    next.notBefore !== undefined &&
    next.notAfter !== undefined &&
    Date.parse(next.notBefore) >= Date.parse(next.notAfter)
  ) {
    throw new EdgewiseError(
      'invalid_request',
      `grant ${grant.id} would end on ${next.notAfter}, before it begins on ${next.notBefore}; expected it to begin first`,
    );
  }
  return {
    ...rest,
    ...(next.quota && { quota: next.quota }),
    ...(next.notBefore && { notBefore: next.notBefore }),
    ...(next.notAfter && { notAfter: next.notAfter }),
  };
}
