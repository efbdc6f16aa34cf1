/** An issuer of tokens over real HTTP, whose keys and behaviour tests change. */
import { createServer, type Server } from 'node:http';
import {
  base64url,
  type CryptoKey,
  exportJWK,
  generateKeyPair,
  type JWK,
  type JWTHeaderParameters,
  type JWTPayload,
  SignJWT,
} from 'jose';

export interface SigningKey {
  readonly kid: string;
  readonly alg: string;
  readonly privateKey: CryptoKey;
  readonly jwk: JWK;
}

export async function signingKey(kid: string, alg = 'ES256'): Promise<SigningKey> {
  const { privateKey, publicKey } = await generateKeyPair(alg, { extractable: true });
  return { kid, alg, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg, use: 'sig' } };
}

export function signed(
  { kid, alg, privateKey }: SigningKey,
  claims: JWTPayload,
  header: Partial<JWTHeaderParameters> = {},
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, kid, ...header }).sign(privateKey);
}

/** Returns a token without a valid signature. */
export function unsigned(header: object, claims: JWTPayload, signature = ''): string {
  const part = (value: object) => base64url.encode(JSON.stringify(value));
  return `${part(header)}.${part(claims)}.${signature}`;
}

export interface IssuerServer {
  readonly url: string;
  /** Requests for the keys so far. */
  readonly asked: number;
  /** What is answered from now on: keys, a status (a redirect leads to the keys before), something else, or never. */
  answer(with_: readonly JWK[] | number | string | 'never'): void;
  close(): Promise<void>;
}

export async function startIssuer(): Promise<IssuerServer> {
  let asked = 0;
  let answer: readonly JWK[] | number | string = [];
  let keys: readonly JWK[] = [];
  const server: Server = createServer(({ url }, response) => {
    if (url === '/elsewhere') {
      response.end(JSON.stringify({ keys }));
      return;
    }
    asked += 1;
    if (answer === 'never') return;
    if (typeof answer === 'number') response.writeHead(answer, { Location: '/elsewhere' }).end();
    else response.end(typeof answer === 'string' ? answer : JSON.stringify({ keys: answer }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    url: `http://127.0.0.1:${port}/jwks.json`,
    get asked() {
      return asked;
    },
    answer(next) {
      answer = next;
      if (typeof next === 'object') keys = next;
    },
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
