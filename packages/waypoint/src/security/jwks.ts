/**
 * Key sets by where they come from: written into the rule, at an address, or at an address that the issuer tells.
 *
 * A set at an address is fetched when the first token needs it, and again in the background when it has grown old, so that
 * keys rotate without anybody waiting. A token that names a key which the set has not makes one further fetch, at most so
 * often. Where nothing can be fetched the last set stays in use; where there is none, tokens are refused.
 */
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { KeySource } from '../resources/request-authentication.ts';
import type { ParsedToken } from './find-tokens.ts';
import { RecentlyUsed } from './recently-used.ts';
import { type KeyFacts, KeySet } from './key-set.ts';
import {
  FETCH_BACKOFF_MS,
  KEY_SET_REFRESH_MS,
  MAX_FETCH_BACKOFF_MS,
  MAX_KEY_SET_BYTES,
  MAX_KEY_SETS,
  UNKNOWN_KEY_REFRESH_MS,
} from './limits.ts';

/** Gets a document. Rejects when there is no answer of 200 that is whole within the limits. */
export type FetchDocument = (
  url: string,
  options: { readonly timeoutMs: number; readonly maxBytes: number },
) => Promise<string>;

export interface KeySetsOptions {
  readonly fetch: FetchDocument;
  readonly clock: Clock;
  /** Tells of a fetch that failed: for logs. */
  readonly failed: (source: string, problem: string) => void;
}

/** A key set at an address, as anybody may see it. */
export interface KeySetReport {
  /** Where it is fetched from, or the issuer that tells where. */
  readonly source: string;
  /** `undefined`: none was ever fetched. */
  readonly keys: readonly KeyFacts[] | undefined;
  /** Since the keys were fetched. */
  readonly ageMs: number | undefined;
  /** Fetches in a row that failed, and what was wrong with the last one. */
  readonly failures: number;
  readonly problem: string | undefined;
}

/** The keys that may have signed a token; or why there are none, in Envoy's words. */
export type KeysFound = { readonly keys: KeySet } | { readonly problem: string };

const NO_KEYS: KeysFound = { problem: 'Jwks remote fetch is failed' };
const NO_SUCH_KEY: KeysFound = { problem: "Jwks doesn't have key to match kid or alg from Jwt" };

export class KeySets {
  readonly #options: KeySetsOptions;
  /** By the text of the set, or its address. */
  readonly #inline = new RecentlyUsed<KeySet | string>();
  readonly #remote = new RecentlyUsed<RemoteKeySet>();

  constructor(options: KeySetsOptions) {
    this.#options = options;
  }

  /** Of those that are fetched. */
  report(): readonly KeySetReport[] {
    return [...this.#remote.values()].map((set) => set.report());
  }

  /** At once where nothing has to be fetched. */
  keysFor(source: KeySource, token: ParsedToken): KeysFound | Promise<KeysFound> {
    if (source.kind === 'inline') {
      const keys =
        this.#inline.get(source.jwks) ?? kept(this.#inline, source.jwks, KeySet.parse(source.jwks));
      if (typeof keys === 'string') return { problem: keys };
      return keys.hasKeyFor(token) ? { keys } : NO_SUCH_KEY;
    }
    const address = source.kind === 'uri' ? source.uri : `discovery ${source.issuer}`;
    const set =
      this.#remote.get(address) ?? kept(this.#remote, address, new RemoteKeySet(source, this.#options));
    return set.keysFor(token);
  }
}

function kept<T>(known: RecentlyUsed<T>, key: string, value: T): T {
  known.set(key, value);
  if (known.size > MAX_KEY_SETS) known.dropOldest();
  return value;
}

class RemoteKeySet {
  readonly #source: Exclude<KeySource, { readonly kind: 'inline' }>;
  readonly #options: KeySetsOptions;
  #keys: KeySet | undefined;
  /** When the set came, and when a fetch may begin again; milliseconds of the monotonic clock. */
  #fetchedMs = 0;
  #mayFetchMs = Number.NEGATIVE_INFINITY;
  #unknownKeyMs = Number.NEGATIVE_INFINITY;
  #failures = 0;
  #problem: string | undefined;
  #fetching: Promise<void> | undefined;

  constructor(source: Exclude<KeySource, { readonly kind: 'inline' }>, options: KeySetsOptions) {
    this.#source = source;
    this.#options = options;
  }

  report(): KeySetReport {
    const keys = this.#keys?.facts();
    return {
      source: nameOf(this.#source),
      keys,
      ageMs: keys && Math.round(this.#options.clock.monotonicMs() - this.#fetchedMs),
      failures: this.#failures,
      problem: this.#problem,
    };
  }

  keysFor(token: ParsedToken): KeysFound | Promise<KeysFound> {
    const nowMs = this.#options.clock.monotonicMs();
    const keys = this.#keys;
    if (keys === undefined) return this.#fetch(nowMs).then(() => this.#found(token));
    if (nowMs - this.#fetchedMs >= KEY_SET_REFRESH_MS) void this.#fetch(nowMs);
    if (keys.hasKeyFor(token)) return { keys };
    if (nowMs - this.#unknownKeyMs < UNKNOWN_KEY_REFRESH_MS) return NO_SUCH_KEY;
    this.#unknownKeyMs = nowMs;
    return this.#fetch(nowMs).then(() => this.#found(token));
  }

  #found(token: ParsedToken): KeysFound {
    if (this.#keys === undefined) return NO_KEYS;
    return this.#keys.hasKeyFor(token) ? { keys: this.#keys } : NO_SUCH_KEY;
  }

  /** Never rejects; one at a time, and none too soon after one that failed. */
  #fetch(nowMs: number): Promise<void> {
    if (this.#fetching) return this.#fetching;
    if (nowMs < this.#mayFetchMs) return Promise.resolve();
    const fetching = this.#fetchOnce()
      .catch((error: unknown) => {
        const backoffMs = Math.min(FETCH_BACKOFF_MS * 2 ** this.#failures, MAX_FETCH_BACKOFF_MS);
        this.#failures += 1;
        this.#problem = messageOf(error);
        this.#mayFetchMs = this.#options.clock.monotonicMs() + backoffMs;
        this.#options.failed(nameOf(this.#source), messageOf(error));
      })
      .finally(() => {
        this.#fetching = undefined;
      });
    this.#fetching = fetching;
    return fetching;
  }

  async #fetchOnce(): Promise<void> {
    const { timeoutMs } = this.#source;
    const limits = { timeoutMs, maxBytes: MAX_KEY_SET_BYTES };
    const uri =
      this.#source.kind === 'uri' ? this.#source.uri : await this.#discover(this.#source.issuer, limits);
    const keys = KeySet.parse(await this.#options.fetch(uri, limits));
    if (typeof keys === 'string') throw new KeySetError(keys);
    this.#keys = keys;
    this.#fetchedMs = this.#options.clock.monotonicMs();
    this.#failures = 0;
    this.#problem = undefined;
  }

  /** OpenID Connect Discovery. */
  async #discover(issuer: string, limits: Parameters<FetchDocument>[1]): Promise<string> {
    const url = URL.parse(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
    if (!isWeb(url))
      throw new KeySetError(`${issuer} is no address, and the rule has neither jwks nor jwksUri`);
    const document: unknown = JSON.parse(await this.#options.fetch(url.href, limits));
    const uri =
      typeof document === 'object' && document !== null && 'jwks_uri' in document
        ? document.jwks_uri
        : undefined;
    const found = typeof uri === 'string' ? URL.parse(uri) : null;
    if (!isWeb(found)) throw new KeySetError(`${url.href} tells no jwks_uri`);
    return found.href;
  }
}

function isWeb(url: URL | null): url is URL {
  return url !== null && (url.protocol === 'http:' || url.protocol === 'https:');
}

function nameOf(source: Exclude<KeySource, { readonly kind: 'inline' }>): string {
  return source.kind === 'uri' ? source.uri : source.issuer;
}

/** A document that came, and is not what it should be. Caught where the fetch began. */
class KeySetError extends Error {
  override readonly name = 'KeySetError';
}
