/** What the API's description says of one operation. */
import { z } from '@hono/zod-openapi';

export interface Operation {
  readonly method: 'get' | 'post' | 'put' | 'patch' | 'delete' | 'head';
  /** OpenAPI form: `/v2/models/{name}`. */
  readonly path: string;
  readonly tag:
    | 'Health'
    | 'Models'
    | 'Inference'
    | 'Repository'
    | 'Admin'
    | 'Accounts'
    | 'Licences'
    | 'Receipts'
    | 'Service';
  readonly summary: string;
  readonly description?: string;
  readonly body?: z.ZodType | 'binary';
  readonly answer?: z.ZodType | 'binary' | 'html';
  readonly admin?: boolean;
}

export const anyObject = z.record(z.string(), z.unknown());
