import { openCheckpoint } from '../../../src/governance/log/checkpoint.ts';
import type { ReceiptLog } from '../../../src/governance/log/types.ts';
import { recordsOf, testPolicy } from './records.ts';

export interface LogUnderTest {
  readonly log: ReceiptLog;
  /** Runs the rounds that are due. */
  settle(): Promise<void>;
}

/** Returns a new, empty log with the test keys. */
export type MakeLog = () => Promise<LogUnderTest>;

/** Makes a log with the first `count` records. */
export async function filledLog(make: MakeLog, count: number): Promise<LogUnderTest> {
  const made = await make();
  await made.log.append(await recordsOf(0, count));
  await made.settle();
  return made;
}

/** Opens the checkpoint as a client reads it from the log's files. */
export async function publishedCheckpoint(log: ReceiptLog) {
  const text = new TextDecoder().decode(await log.readFile('checkpoint'));
  const { log: key, witnesses = [] } = await testPolicy();
  return { text, ...(await openCheckpoint(text, key, witnesses)) };
}
