/** The files of a version as their publisher signed them, over HTTP: for whoever may have them. */
import type { Bytes } from '../bytes.ts';
import { isEdgewiseError } from '../errors.ts';
import { type ClientOptions, createTransport } from './transport.ts';

export interface ModelFilesClient {
  /**
   * As they come: the caller checks them. Undefined where there is no such model, version or file.
   *
   * @throws EdgewiseError the server's: that of the gate where the model's terms do not let its weights leave.
   */
  file(model: string, version: string, file: string): Promise<Bytes | undefined>;
}

const absent: ReadonlySet<string> = new Set(['not_found', 'model_not_found', 'version_not_found']);

export function createModelFilesClient(options: ClientOptions): ModelFilesClient {
  const { exchange } = createTransport(options);
  return {
    async file(model, version, file) {
      const [name, number, path] = [model, version, file].map(encodeURIComponent);
      try {
        return await exchange({
          method: 'GET',
          path: `/v1/models/${name}/versions/${number}/files/${path}`,
          retry: 'idempotent',
          read: async (response) => new Uint8Array(await response.arrayBuffer()),
        });
      } catch (error) {
        if (isEdgewiseError(error) && absent.has(error.code)) return undefined;
        throw error;
      }
    },
  };
}
