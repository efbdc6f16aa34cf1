/** Downloads the files of a version as their publisher signed them, for callers whose licence permits it. */
import type { Bytes } from '../bytes.ts';
import { isEdgewiseError } from '../errors.ts';
import { type ClientOptions, createTransport } from './transport.ts';

export interface ModelFilesClient {
  /**
   * Returns the file; undefined if the model, version or file does not exist. The caller checks the bytes.
   *
   * @throws EdgewiseError the server's, such as that of the gate if the model's terms do not let the weights leave.
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
