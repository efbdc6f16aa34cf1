import type { AdminClient } from '../../../client/admin-client.ts';
import { defaultAlias, defaultVersion } from '../../../repository/index/version-policy.ts';
import type { ModelReference } from '../../command.ts';

export interface ChosenVersion {
  readonly name: string;
  readonly version: string;
}

/** Returns the subject with its version, else with the version that a request without a version gets. */
export async function chooseVersion(client: AdminClient, subject: ModelReference): Promise<ChosenVersion> {
  const { name, version } = subject;
  if (version !== undefined) return { name, version };
  return { name, version: defaultVersion((await client.model(name)).index) ?? defaultAlias };
}
