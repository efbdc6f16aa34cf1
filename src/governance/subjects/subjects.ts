/** What those whose data it is can ask for. */
import type { RewrapCount } from '../vault/subject-keys.ts';
import { type ErasureParts, eraseTenant } from './erasure.ts';
import { type ExportParts, exportTenant } from './export.ts';
import type { Erasure, PrivacyNotice, TenantExport } from './schema.ts';

export interface Subjects {
  readonly notice: PrivacyNotice;
  /** @throws EdgewiseError `not_found` where there is no such tenant. */
  export(tenant: string, from: number): Promise<TenantExport>;
  /** For good; doing it again says when it was done. @throws EdgewiseError as `export` */
  erase(tenant: string): Promise<Erasure>;
  /** Has the first records key wrap all that others wrap. @throws EdgewiseError `internal` */
  rewrapKeys(): Promise<RewrapCount>;
}

export function createSubjects(parts: ExportParts & ErasureParts): Subjects {
  return {
    notice: parts.notice,
    export: (tenant, from) => exportTenant(parts, tenant, from),
    erase: (tenant) => eraseTenant(parts, tenant),
    rewrapKeys: () => parts.vault.rewrapAll(),
  };
}
