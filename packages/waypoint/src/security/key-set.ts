/**
 * A JSON Web Key Set: which of its keys may have signed a token, and whether one has. Signatures are jose's affair.
 *
 * A key is used only with algorithms of its own kind, and those only that stand here: an algorithm that a token names never
 * decides what a key is (a public key taken for a shared secret), and `none` is no algorithm.
 */
import { compactVerify, importJWK, type JWK } from 'jose';
import { messageOf } from '@ambit/core/errors';
import type { ParsedToken } from './find-tokens.ts';
import { MAX_KEYS, MAX_KEYS_TRIED } from './limits.ts';

/** The kind of key that each algorithm takes: Istio's algorithms. */
const KEY_TYPES: Readonly<Record<string, { readonly kty: string; readonly crv?: readonly string[] }>> = {
  RS256: { kty: 'RSA' },
  RS384: { kty: 'RSA' },
  RS512: { kty: 'RSA' },
  PS256: { kty: 'RSA' },
  PS384: { kty: 'RSA' },
  PS512: { kty: 'RSA' },
  ES256: { kty: 'EC', crv: ['P-256'] },
  ES384: { kty: 'EC', crv: ['P-384'] },
  ES512: { kty: 'EC', crv: ['P-521'] },
  HS256: { kty: 'oct' },
  HS384: { kty: 'oct' },
  HS512: { kty: 'oct' },
  EdDSA: { kty: 'OKP', crv: ['Ed25519'] },
};

/** A key as anybody may see it. */
export interface KeyFacts {
  /** Empty: it has none. */
  readonly id: string;
  readonly type: string;
  /** Empty: any of its type. */
  readonly algorithm: string;
}

type Key = Awaited<ReturnType<typeof importJWK>>;

export class KeySet {
  readonly #keys: readonly JWK[];
  /** By key and algorithm: a key is imported for one. */
  readonly #imported = new Map<JWK, Map<string, Promise<Key>>>();

  private constructor(keys: readonly JWK[]) {
    this.#keys = keys;
  }

  /** @returns What is wrong, in words, with a text that is no key set or has no key that could be used. */
  static parse(text: string): KeySet | string {
    let document: unknown;
    try {
      document = JSON.parse(text);
    } catch (error) {
      return `Jwks is an invalid JSON: ${messageOf(error)}`;
    }
    const keys = isRecord(document) ? document['keys'] : undefined;
    if (!Array.isArray(keys)) return 'Jwks does not have [keys] field';
    if (keys.length > MAX_KEYS) return `Jwks has more than ${MAX_KEYS} keys`;
    const usable = keys.filter(isUsable);
    return usable.length === 0 ? "Jwks doesn't have any valid public key" : new KeySet(usable);
  }

  facts(): readonly KeyFacts[] {
    return this.#keys.map(({ kid = '', kty = '', alg = '' }) => ({ id: kid, type: kty, algorithm: alg }));
  }

  /** Whether any key could have signed the token, by what both say of themselves. */
  hasKeyFor(token: ParsedToken): boolean {
    return this.#keys.some((key) => mayHaveSigned(key, token));
  }

  /** Whether one of them has. */
  async verifies(token: ParsedToken): Promise<boolean> {
    const candidates = this.#keys.filter((key) => mayHaveSigned(key, token));
    for (const key of candidates.slice(0, MAX_KEYS_TRIED)) {
      if (await this.#hasSigned(key, token)) return true;
    }
    return false;
  }

  async #hasSigned(key: JWK, { text, algorithm }: ParsedToken): Promise<boolean> {
    try {
      await compactVerify(text, await this.#import(key, algorithm), { algorithms: [algorithm] });
      return true;
    } catch {
      // A wrong signature, or a key that cannot be used with the algorithm (too short, malformed).
      return false;
    }
  }

  #import(key: JWK, algorithm: string): Promise<Key> {
    const byAlgorithm = this.#imported.get(key) ?? new Map<string, Promise<Key>>();
    this.#imported.set(key, byAlgorithm);
    const imported = byAlgorithm.get(algorithm) ?? importJWK(publicPart(key), algorithm);
    byAlgorithm.set(algorithm, imported);
    return imported;
  }
}

function mayHaveSigned({ kty, crv, alg, kid }: JWK, { algorithm, keyId }: ParsedToken): boolean {
  const type = Object.hasOwn(KEY_TYPES, algorithm) ? KEY_TYPES[algorithm] : undefined;
  return (
    type !== undefined &&
    kty === type.kty &&
    (type.crv === undefined || type.crv.includes(crv ?? '')) &&
    (alg === undefined || alg === algorithm) &&
    (keyId === '' || kid === undefined || kid === keyId)
  );
}

function isUsable(key: unknown): key is JWK {
  if (!isRecord(key)) return false;
  const { kty, use, alg, kid, key_ops: operations } = key;
  const texts = [kty, use, alg, kid].every((text) => text === undefined || typeof text === 'string');
  const known = Object.values(KEY_TYPES).some((type) => type.kty === kty);
  const verifies = operations === undefined || (Array.isArray(operations) && operations.includes('verify'));
  return texts && known && verifies && (use === undefined || use === 'sig');
}

/** Somebody may have published too much; a private key verifies nothing. */
function publicPart({
  d: _d,
  p: _p,
  q: _q,
  dp: _dp,
  dq: _dq,
  qi: _qi,
  oth: _oth,
  key_ops: _ops,
  ...rest
}: JWK): JWK {
  return rest;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
