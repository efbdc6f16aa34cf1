/** Data-subject requests: notice, export and erasure. */
import type { RewrapCount } from '../vault/subject-keys.ts';
import { type ErasureParts, eraseTenant } from './erasure.ts';
import { type ExportParts, exportTenant } from './export.ts';
import type { Erasure, PrivacyNotice, TenantExport } from './schema.ts';

export interface Subjects {
  readonly notice: PrivacyNotice;
  /** @throws EdgewiseError `not_found` if there is no such tenant. */
  export(tenant: string, from: number): Promise<TenantExport>;
  /** Erases the tenant for good. Another call returns the first erasure. @throws EdgewiseError as `export` */
  erase(tenant: string): Promise<Erasure>;
  /** Wraps all keys with the first records key. @throws EdgewiseError `internal` */
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
