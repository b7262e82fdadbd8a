/** Tokens as an issuer would give them, and the key set that believes them. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

const KEY_ID = 'suite';
const RSA_BITS = 2_048;

export class TokenIssuer {
  readonly name: string;
  readonly #privateKey: KeyObject;
  readonly #publicKey: KeyObject;

  constructor(name: string) {
    const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: RSA_BITS });
    this.name = name;
    this.#privateKey = privateKey;
    this.#publicKey = publicKey;
  }

  /** JSON. */
  get keySet(): string {
    const key = { ...this.#publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'RS256', use: 'sig' };
    return JSON.stringify({ keys: [key] });
  }

  /** For an hour. */
  token(claims: Readonly<Record<string, unknown>>): string {
    const nowS = Math.floor(Date.now() / 1_000);
    const said = [
      { alg: 'RS256', typ: 'JWT', kid: KEY_ID },
      { iss: this.name, iat: nowS, exp: nowS + 3_600, ...claims },
    ];
    const text = said.map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
    return `${text}.${sign('sha256', Buffer.from(text), this.#privateKey).toString('base64url')}`;
  }
}
