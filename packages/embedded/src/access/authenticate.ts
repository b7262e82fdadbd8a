/**
 * Whose token is it. Two kinds: those handed out at start, and those of service accounts.
 *
 * Tokens are compared by their hash, so that the time it takes says nothing about them.
 */
import { createHash } from 'node:crypto';
import { ISSUER, type ServiceAccountTokens, type TokenVerdict } from './service-account-tokens.ts';
import type { User } from './user.ts';

/** Somebody with a token of their own. */
export interface StaticUser {
  readonly name: string;
  readonly groups: readonly string[];
  readonly token: string;
}

export class Authenticator {
  readonly #static = new Map<string, User>();
  readonly #serviceAccounts: ServiceAccountTokens;

  constructor(users: readonly StaticUser[], serviceAccounts: ServiceAccountTokens) {
    this.#serviceAccounts = serviceAccounts;
    for (const user of users) this.add(user);
  }

  add(user: StaticUser): void {
    this.#static.set(hash(user.token), {
      name: user.name,
      uid: '',
      groups: [...user.groups, 'system:authenticated'],
      extra: {},
    });
  }

  /** @param audiences - None: the API's own. */
  async verify(token: string, audiences: readonly string[] = []): Promise<TokenVerdict> {
    const user = this.#static.get(hash(token));
    const wanted = audiences.length > 0 ? audiences : [ISSUER];
    if (user) {
      return wanted.includes(ISSUER)
        ? { valid: true, user, audiences: [ISSUER] }
        : { valid: false, reason: 'the token is for the API alone' };
    }
    return await this.#serviceAccounts.verify(token, wanted);
  }
}

const hash = (token: string): string => createHash('sha256').update(token).digest('base64');

/** The token of an `Authorization: Bearer …` header. */
export function bearerToken(header: string | undefined): string | undefined {
  return /^Bearer +([^\s]+) *$/i.exec(header ?? '')?.[1];
}
