import { readLogKeys } from '../../../src/governance/log/keys.ts';
import { Sequencer } from '../../../src/governance/log/sequencer.ts';
import type { LogObjects, LogState } from '../../../src/governance/log/store.ts';
import { testGovernanceBindings, testLogKey } from '../../support/governance-keys.ts';
import { oracleOf } from './oracle.ts';
import { recordsOf } from './records.ts';

export const keys = readLogKeys({ logKey: testLogKey, witnesses: testGovernanceBindings.EDGEWISE_WITNESSES });
export const sequencerOver = async (state: LogState, objects: LogObjects, maxRoundEntries = 4096) =>
  new Sequencer({ state, objects, ...(await keys), maxRoundEntries });

export const records = recordsOf(0, 560);
export const oracle = records.then((all) => oracleOf(all.map(({ entry }) => entry)));

export const checkpointIn = async (objects: LogObjects) =>
  new TextDecoder().decode((await objects.get('checkpoint'))?.bytes);
