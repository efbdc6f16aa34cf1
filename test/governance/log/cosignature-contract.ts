/** The part of the contract suite about cosignatures of witnesses. */
import { assert, expect, it } from 'vitest';
import { formatSignatureLine, parseNote } from '../../../src/governance/log/note.ts';
import { verifyProof } from '../../../src/governance/log/proof.ts';
import { strangeWitness, testWitnesses } from '../../support/governance-keys.ts';
import { parseCosignerKey } from '../../support/witness.ts';
import { filledLog, type MakeLog, publishedCheckpoint } from './log-under-test.ts';
import { hashOf, recordOf, recordsOf, testPolicy } from './records.ts';

export function cosignatureContract(make: MakeLog): void {
  const fillLog = (count: number) => filledLog(make, count);
  const [one, two] = testWitnesses;
  const cosignLine = async (text: string, { privateKey }: { privateKey: string }, at = 1_800_000_000) => {
    const cosigner = await parseCosignerKey(privateKey, () => at);
    return `${formatSignatureLine(await cosigner.sign(text))}\n`;
  };

  it('adds the signature lines of its witnesses to the checkpoint', async () => {
    const { log, settle } = await fillLog(2);
    const { note, text } = await publishedCheckpoint(log);
    await log.cosign(await cosignLine(note.text, one));
    await log.cosign(
      `${text}${await cosignLine(note.text, strangeWitness)}${await cosignLine(note.text, two)}`,
    );
    // The same witness again: its newer line replaces the older one.
    await log.cosign(await cosignLine(note.text, one, 1_800_000_060));
    const now = await publishedCheckpoint(log);
    expect(now.note.text).toBe(note.text);
    expect(now.witnesses.map(({ name }) => name).sort()).toEqual(['witness.test/one', 'witness.test/two']);
    expect(now.note.signatures).toHaveLength(3);
    // Lines are public, so any client can send an older or equal one: it changes nothing.
    await log.cosign(await cosignLine(note.text, one));
    await log.cosign(await cosignLine(note.text, one, 1_800_000_060));
    expect((await publishedCheckpoint(log)).text).toBe(now.text);
    const proof = await log.prove(await hashOf(0), 0);
    expect(proof?.checkpoint).toBe(now.text);
    await log.append(await recordsOf(2, 3));
    await settle();
    expect((await publishedCheckpoint(log)).size).toBe(3);
  });

  it('takes signature lines for an earlier checkpoint, and proves the entries it covers with it', async () => {
    const { log, settle } = await fillLog(2);
    const old = await publishedCheckpoint(log);
    await log.append(await recordsOf(2, 4));
    await settle();
    await log.cosign(`${old.text}${await cosignLine(old.note.text, one)}`);
    expect((await publishedCheckpoint(log)).witnesses).toEqual([]);
    const policy = { ...(await testPolicy()), quorum: 1 };
    for (const [n, size] of [
      [1, 2],
      [3, 4],
    ] as const) {
      const proof = await log.prove(await hashOf(n), 0);
      assert(proof !== undefined);
      const { entry } = await recordOf(n);
      const checked = verifyProof(proof, entry, policy);
      if (size === 2) expect(await checked).toMatchObject({ size: 2, witnesses: ['witness.test/one'] });
      else await expect(checked).rejects.toMatchObject({ code: 'signature_invalid' });
      expect(parseNote(proof.checkpoint).text.split('\n')[1]).toBe(String(size));
    }
  });

  it('refuses signature lines of unknown witnesses, of other texts and for unknown checkpoints', async () => {
    const { log } = await fillLog(2);
    const { note, text } = await publishedCheckpoint(log);
    const unknown = await cosignLine(note.text, strangeWitness);
    const wrong = await cosignLine(`${note.text}x\n`, one);
    for (const given of [
      unknown,
      wrong,
      `${text}${unknown}`,
      `${text}${wrong}`,
      text,
      'nonsense',
      '— a b\n',
      '',
    ]) {
      await expect(log.cosign(given)).rejects.toMatchObject({ code: 'invalid_request' });
    }
    const elsewhere = note.text.replace('\n2\n', '\n3\n');
    const forked = note.text.replace(/\n[^\n]{43}=\n$/, `\n${'A'.repeat(43)}=\n`);
    for (const other of [elsewhere, forked]) {
      await expect(log.cosign(`${other}\n${await cosignLine(other, one)}`)).rejects.toMatchObject({
        code: 'conflict',
      });
    }
    expect((await publishedCheckpoint(log)).text).toBe(text);
  });

  it('has no checkpoint to cosign before there is an entry', async () => {
    const { log } = await make();
    await expect(log.cosign(await cosignLine('text\n', one))).rejects.toMatchObject({ code: 'conflict' });
  });
}
