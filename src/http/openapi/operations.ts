/** The operations of the API as a list. */
import type { ApiDocument } from './document.ts';

export interface Operation {
  readonly method: string;
  readonly path: string;
  readonly tags: readonly string[];
  readonly summary: string;
  readonly description: string | undefined;
  /** True if only the admin key opens the route, or a key for reading the repository. */
  readonly needsAdminKey: boolean;
}

const methods = ['get', 'head', 'post', 'put', 'patch', 'delete'] as const;

export function operationsOf({ paths }: ApiDocument): Operation[] {
  return Object.entries(paths ?? {}).flatMap(([path, item]) =>
    methods.flatMap((method) => {
      const operation = item[method];
      if (operation === undefined) return [];
      const { description, security = [], summary = '', tags: own = [] } = operation;
      const needsAdminKey = security[0] !== undefined && 'adminKey' in security[0];
      return [{ method, path, tags: own, summary, description, needsAdminKey }];
    }),
  );
}
