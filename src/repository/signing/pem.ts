/** Keys as text (RFC 7468). */
import { type Bytes, decodeBase64, encodeBase64 } from '../../bytes.ts';

const lineLength = 64;

/** Returns the PEM exactly as OpenSSL writes it: fingerprints are digests of this text. */
export function pemText(label: string, der: Uint8Array): string {
  const base64 = encodeBase64(der);
  const lines = base64.match(new RegExp(`.{1,${lineLength}}`, 'g')) ?? [];
  return `-----BEGIN ${label}-----\n${lines.join('\n')}\n-----END ${label}-----\n`;
}

const blockForm = /-----BEGIN ([A-Z0-9 ]+)-----([A-Za-z0-9+/=\s]*)-----END \1-----/g;

export interface PemBlock {
  readonly label: string;
  readonly der: Bytes;
}

/** Returns every readable block of the text. Encrypted keys in the old form (RFC 1421) have headers and are skipped. */
export function pemBlocks(text: string): readonly PemBlock[] {
  return [...text.matchAll(blockForm)].flatMap(([, label = '', base64 = '']) => {
    const der = decodeBase64(base64.replaceAll(/\s/g, ''));
    return der === undefined ? [] : [{ label, der }];
  });
}
