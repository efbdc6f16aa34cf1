/** Checks the path, the query and the JSON body of a request against the declaration of its route. */
import type { RouteConfig } from '@hono/zod-openapi';
import { z } from 'zod';
import { checkDocument } from '../../check-document.ts';
import { EdgewiseError } from '../../errors.ts';
import { readBody } from '../body/request-body.ts';
import type { AppContext } from '../context.ts';

/** The repository keeps manifests of twice this in memory, so no manifest is read anew for every request. */
const maxDocumentBytes = 1024 * 1024;

type RequestConfig = RouteConfig['request'];
type RequestBody = NonNullable<NonNullable<RequestConfig>['body']>;

/** @throws EdgewiseError `invalid_request` naming the fields that do not fit; what `readBody` throws */
export async function checkRequest(c: AppContext, request: RequestConfig): Promise<void> {
  const { body, params, query } = request ?? {};
  if (params !== undefined) {
    c.req.addValidatedData('param', check('path', params, c.req.param(), true));
  }
  if (query !== undefined) c.req.addValidatedData('query', check('query', query, c.req.query(), true));
  const schema = body && documentSchema(body);
  if (schema !== undefined) {
    c.req.addValidatedData('json', check('body', schema, await readJson(c), false));
  }
}

/** The schema of a body that is always one JSON document. Handlers read other bodies: optional, binary, or of several types. */
function documentSchema({ content, required }: RequestBody): z.ZodType | undefined {
  const [type, ...others] = Object.keys(content);
  if (required !== true || type !== 'application/json' || others.length > 0) return undefined;
  const media = content[type];
  const schema = media !== undefined && 'schema' in media ? media.schema : undefined;
  return schema instanceof z.ZodType ? schema : undefined;
}

function check(part: string, schema: z.ZodType, given: unknown, quoteText: boolean): object {
  const checked = checkDocument(schema, given, { quoteText, whole: 'it' });
  if (checked.success) return Object(checked.data);
  throw new EdgewiseError('invalid_request', `the ${part} is not usable: ${checked.complaint}`);
}

async function readJson(c: AppContext): Promise<unknown> {
  const body = await readBody(c, {
    maxBytes: maxDocumentBytes,
    maxDecompressedBytes: maxDocumentBytes,
  });
  try {
    return JSON.parse(new TextDecoder().decode(body));
  } catch (error) {
    throw new EdgewiseError('invalid_request', 'the body is not JSON', { cause: error });
  }
}
