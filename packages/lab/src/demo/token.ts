/** A signer of tokens for the demo: a key of its own, made as it starts. Pure but for the key. */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';

const KEY_ID = 'demo';

export class TokenSigner {
  readonly issuer: string;
  readonly #key: KeyObject;
  /** The public half, as services that check tokens are given it. */
  readonly jwks: string;

  constructor(issuer: string) {
    this.issuer = issuer;
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    this.#key = privateKey;
    const key = { ...publicKey.export({ format: 'jwk' }), kid: KEY_ID, alg: 'ES256', use: 'sig' };
    this.jwks = JSON.stringify({ keys: [key] });
  }

  /** @param expiresAtS - Seconds since 1970. */
  token(subject: string, expiresAtS: number): string {
    const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
    const claims = { iss: this.issuer, sub: subject, exp: expiresAtS };
    const signed = `${part({ alg: 'ES256', typ: 'JWT', kid: KEY_ID })}.${part(claims)}`;
    // JOSE wants the two numbers of the signature one after the other, not as ASN.1.
    const signature = sign('sha256', Buffer.from(signed), { key: this.#key, dsaEncoding: 'ieee-p1363' });
    return `${signed}.${signature.toString('base64url')}`;
  }
}
