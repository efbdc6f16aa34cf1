/** A witness of the log, which cosigns checkpoints (C2SP tlog-cosignature). */
import { encodeBase64, joinBytes, parseBase64, toHex, utf8 } from '../../src/bytes.ts';
import type { NoteSigner } from '../../src/governance/log/note.ts';
import { parseSignerKey } from '../../src/governance/log/note-keys.ts';
import { sha256Sync } from '../../src/governance/sha256.ts';

/** Reads an Ed25519 signer key as the key of a witness, whose signatures include the time. */
export async function parseCosignerKey(text: string, nowSeconds: () => number): Promise<NoteSigner> {
  const signer = await parseSignerKey(text);
  const { name } = signer;
  const [, encoded = ''] = /^[^+]+\+[0-9a-f]{8}\+(.+)$/.exec(signer.verifierKey) ?? [];
  const key = parseBase64(encoded, 'verifier key');
  key[0] = 0x04;
  const keyId = sha256Sync(joinBytes([utf8(`${name}\n`), key])).slice(0, 4);
  return {
    name,
    verifierKey: `${name}+${toHex(keyId)}+${encodeBase64(key)}`,
    async sign(message) {
      const seconds = Math.floor(nowSeconds());
      const time = new Uint8Array(8);
      new DataView(time.buffer).setBigUint64(0, BigInt(seconds));
      const { signature } = await signer.sign(`cosignature/v1\ntime ${seconds}\n${message}`);
      return { name, keyId, signature: joinBytes([time, signature]) };
    },
  };
}
