/**
 * Who calls, by the service account token that they bring: the API server reviews it.
 *
 * A good answer is kept for some seconds, so that a node's proxy asking for a hundred certificates costs one review; a
 * bad one is not kept. Tokens are kept as hashes.
 */
import { createHash } from 'node:crypto';
import type { Clock } from '@ambit/core/clock';
import type { KubeClient } from '@ambit/kube/client';
import { tokenReviews } from '@ambit/kube/resources/authentication';
import type { Metadata } from '@grpc/grpc-js';
import { AuthenticationError } from '../errors.ts';
import { MAX_CACHED_TOKENS, MAX_TOKEN_CHARS, TOKEN_CACHE_MS, TOKEN_REVIEW_TIMEOUT_MS } from '../limits.ts';
import { type Caller, callerOf } from './caller.ts';

export interface TokenAuthenticatorOptions {
  readonly client: KubeClient;
  /** `istio-ca`. */
  readonly audiences: readonly string[];
  readonly trustDomain: string;
  readonly clusterId: string;
  readonly clock: Clock;
}

export class TokenAuthenticator {
  readonly #options: TokenAuthenticatorOptions;
  readonly #known = new Map<string, { readonly caller: Caller; readonly untilMs: number }>();
  readonly #underReview = new Map<string, Promise<Caller>>();

  constructor(options: TokenAuthenticatorOptions) {
    this.#options = options;
  }

  /** @throws {@link AuthenticationError} with the reason, which is for the log and not for the caller. */
  readonly authenticate = async (headers: Metadata): Promise<Caller> => {
    const { clusterId, clock } = this.#options;
    const cluster = String(headers.get('clusterid')[0] ?? '');
    if (cluster !== '' && cluster !== clusterId)
      throw new AuthenticationError(`unknown cluster ${JSON.stringify(cluster.slice(0, 100))}`);
    const token = bearerToken(headers);
    const key = createHash('sha256').update(token).digest('base64');
    const known = this.#known.get(key);
    if (known && known.untilMs > clock.monotonicMs()) return known.caller;
    const review = this.#underReview.get(key) ?? this.#review(token);
    this.#underReview.set(key, review);
    try {
      const caller = await review;
      if (this.#known.size >= MAX_CACHED_TOKENS) this.#known.clear();
      this.#known.set(key, { caller, untilMs: clock.monotonicMs() + TOKEN_CACHE_MS });
      return caller;
    } finally {
      this.#underReview.delete(key);
    }
  };

  async #review(token: string): Promise<Caller> {
    const { client, audiences, trustDomain, clock } = this.#options;
    const abort = new AbortController();
    const timer = clock.after(TOKEN_REVIEW_TIMEOUT_MS, () =>
      abort.abort(new AuthenticationError(`no token review within ${TOKEN_REVIEW_TIMEOUT_MS} ms`)),
    );
    try {
      const question = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenReview',
        metadata: { name: '' },
        spec: { token, audiences },
      };
      const caller = callerOf(
        await client.create(tokenReviews, question, {}, abort.signal),
        audiences,
        trustDomain,
      );
      if (typeof caller === 'string') throw new AuthenticationError(caller);
      return caller;
    } finally {
      timer.cancel();
    }
  }
}

function bearerToken(headers: Metadata): string {
  const header = String(headers.get('authorization')[0] ?? '');
  const token = header.startsWith('Bearer ') ? header.slice('Bearer '.length).trim() : '';
  if (token === '') throw new AuthenticationError('no bearer token');
  if (token.length > MAX_TOKEN_CHARS) throw new AuthenticationError('token too long');
  return token;
}
