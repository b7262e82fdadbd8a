/**
 * What one client follows of one type, and what it is owed. Pure: no streams, no time.
 *
 * A client is owed names, never bytes: whatever changes while it does not read is one entry in a set, and the resources
 * are read from the feed at the moment they are sent. A client that follows everything costs no memory per resource.
 */
import type { DeltaDiscoveryRequest } from '@ambit/api/discovery';
import { ClientLimitError } from '../errors.ts';
import { MAX_KEYS_PER_CLIENT, MAX_NAME_LENGTH_CHARS, MAX_PENDING_NAMES_PER_CLIENT } from '../limits.ts';
import type { ClientNode, EncodedResource, FeedChange, FeedView } from '../resource-feed.ts';

const WILDCARD = '*';

/** One response's worth. Both empty still is a response: the answer "there is nothing". */
export interface Update {
  readonly resources: readonly EncodedResource[];
  readonly removed: readonly string[];
}

/** All that the feed has, which is the same for every client that gets it now. */
export const EVERYTHING = 'everything';

/** What became of a request. */
export type RequestOutcome = 'answer' | 'acknowledged' | 'refused' | 'stale';

export class Subscription {
  readonly feed: FeedView;
  readonly #node: ClientNode;
  #wildcard = false;
  #first = true;
  #nonceSent = '';
  #nonceAcknowledged = '';
  #nonceAnswered = '';
  /** Single names and aliases that the client asked for. */
  readonly #keys = new Set<string>();
  /** Version of each resource that was sent because of a key; unused while everything is followed. */
  readonly #followed = new Map<string, string>();

  #owesAll = false;
  #owesAnswer = false;
  readonly #owedKeys = new Set<string>();
  readonly #changed = new Set<string>();
  readonly #removed = new Set<string>();

  constructor(feed: FeedView, node: ClientNode) {
    this.feed = feed;
    this.#node = node;
  }

  get wildcard(): boolean {
    return this.#wildcard;
  }

  get keys(): number {
    return this.#keys.size;
  }

  /** Whether the next {@link take} is all that there is. */
  get owesAll(): boolean {
    return this.#owesAll;
  }

  /** Names that the client is to hear of, once it has read what it was sent; all that there is counts as none. */
  get owed(): number {
    return this.#changed.size + this.#removed.size + this.#owedKeys.size;
  }

  get nonceSent(): string {
    return this.#nonceSent;
  }

  get nonceAcknowledged(): string {
    return this.#nonceAcknowledged;
  }

  /** Whether the client has acknowledged, or refused, what it was sent last. */
  get acknowledged(): boolean {
    return this.#nonceSent === this.#nonceAnswered;
  }

  /** @throws {@link ClientLimitError} */
  request(request: DeltaDiscoveryRequest): RequestOutcome {
    const nonce = request.responseNonce;
    if (nonce === this.#nonceSent) this.#nonceAnswered = nonce;
    if (request.errorDetail !== undefined && !this.#first) return 'refused';
    if (this.#first) {
      this.#start(request);
      return 'answer';
    }
    const isStale = nonce !== '' && nonce !== this.#nonceSent;
    if (nonce !== '' && !isStale) this.#nonceAcknowledged = nonce;
    // What it asks for besides an acknowledgement that came too late is asked for all the same.
    const subscribed = this.#subscribe(request.resourceNamesSubscribe);
    this.#unsubscribe(request.resourceNamesUnsubscribe);
    if (subscribed) return 'answer';
    return isStale ? 'stale' : 'acknowledged';
  }

  /** @throws {@link ClientLimitError} when the client has not read for so long that it owes too much attention. */
  changed(change: FeedChange): void {
    // All that there is will be all that there is then, however long the client waits for its turn.
    if (this.#first || this.#owesAll) return;
    for (const name of change.changed) {
      this.#changed.add(name);
      this.#removed.delete(name);
    }
    for (const name of change.removed) {
      this.#changed.delete(name);
      this.#removed.add(name);
    }
    if (this.#changed.size + this.#removed.size > MAX_PENDING_NAMES_PER_CLIENT) {
      throw new ClientLimitError(
        'names waiting for a client that does not read',
        MAX_PENDING_NAMES_PER_CLIENT,
      );
    }
  }

  /** What to send now, which is then no longer owed; `undefined` when nothing is. */
  take(): Update | typeof EVERYTHING | undefined {
    if (this.#owesAll) return this.#takeAll();
    const answer = this.#owesAnswer;
    const resources = new Map<string, EncodedResource>();
    const removed = new Set<string>();
    if (this.#wildcard) this.#takeChanged(resources, removed);
    else this.#takeFollowed(resources, removed);
    this.#takeOwedKeys(resources, removed);
    this.#changed.clear();
    this.#removed.clear();
    this.#owesAnswer = false;
    if (!answer && resources.size === 0 && removed.size === 0) return undefined;
    return { resources: [...resources.values()], removed: [...removed] };
  }

  /** From here on only `nonce` is an acknowledgement. */
  sent(nonce: string): void {
    this.#nonceSent = nonce;
  }

  #start(request: DeltaDiscoveryRequest): void {
    const subscribe = request.resourceNamesSubscribe;
    this.#first = false;
    this.#owesAnswer = true;
    const everything = subscribe.length === 0 || subscribe.includes(WILDCARD);
    const held = request.initialResourceVersions;
    if (everything && !request.resourceNamesUnsubscribe.includes(WILDCARD)) this.#followEverything(held);
    else this.#adopt(held);
    this.#subscribe(subscribe.filter((name) => name !== WILDCARD));
    this.#unsubscribe(request.resourceNamesUnsubscribe);
  }

  /** A reconnecting client goes on with what it held: every name is a key again. */
  #adopt(held: ReadonlyMap<string, string>): void {
    if (held.size > MAX_KEYS_PER_CLIENT) throw tooManyKeys();
    for (const [name, version] of held) {
      this.#keys.add(name);
      if (this.feed.get(name) === undefined) {
        this.#owedKeys.add(name);
        continue;
      }
      this.#followed.set(name, version);
      this.#changed.add(name);
    }
  }

  #subscribe(names: readonly string[]): boolean {
    for (const name of names) {
      if (name === WILDCARD) {
        if (!this.#wildcard) this.#followEverything(this.#followed);
        continue;
      }
      if (name.length > MAX_NAME_LENGTH_CHARS)
        throw new ClientLimitError('length of a name', MAX_NAME_LENGTH_CHARS);
      if (!this.#wildcard) this.#keys.add(name);
      this.#owedKeys.add(name);
      if (this.#keys.size > MAX_KEYS_PER_CLIENT || this.#owedKeys.size > MAX_KEYS_PER_CLIENT) {
        throw tooManyKeys();
      }
    }
    if (names.length > 0) this.#owesAnswer = true;
    return names.length > 0;
  }

  #unsubscribe(names: readonly string[]): void {
    for (const name of names) {
      if (name === WILDCARD) {
        this.#wildcard = false;
        this.#owesAll = false;
      }
      this.#keys.delete(name);
      this.#owedKeys.delete(name);
      this.#followed.delete(name);
    }
  }

  /**
   * Compared at once, and the versions forgotten: after a restart of the control plane every client brings all of them.
   */
  #followEverything(held: ReadonlyMap<string, string>): void {
    this.#wildcard = true;
    this.#keys.clear();
    this.#owesAll = held.size === 0;
    if (!this.#owesAll) {
      for (const { name, version } of this.feed.all())
        if (version === '' || held.get(name) !== version) this.#changed.add(name);
      for (const name of held.keys()) if (this.feed.get(name) === undefined) this.#removed.add(name);
    }
    this.#followed.clear();
  }

  /** What was asked for by name is in it; names of what does not exist are answered in a response of their own. */
  #takeAll(): typeof EVERYTHING {
    this.#owesAll = false;
    this.#owesAnswer = false;
    this.#changed.clear();
    this.#removed.clear();
    for (const key of this.#owedKeys) if (this.feed.resolve(key).length > 0) this.#owedKeys.delete(key);
    return EVERYTHING;
  }

  #takeChanged(resources: Map<string, EncodedResource>, removed: Set<string>): void {
    for (const name of this.#changed) {
      const resource = this.feed.get(name);
      if (resource) resources.set(name, resource);
      else removed.add(name);
    }
    for (const name of this.#removed) if (this.feed.get(name) === undefined) removed.add(name);
  }

  #takeFollowed(resources: Map<string, EncodedResource>, removed: Set<string>): void {
    const moved = this.#changed.size > 0 || this.#removed.size > 0;
    if (!moved && !this.#owesAnswer) return;
    for (const name of this.#followed.keys()) {
      if (this.feed.get(name) !== undefined) continue;
      this.#followed.delete(name);
      removed.add(name);
    }
    for (const name of [...this.#followed.keys()]) this.#follow(this.feed.get(name), resources);
    for (const key of this.#keys) {
      for (const resource of this.feed.resolve(key)) this.#follow(resource, resources);
    }
    for (const resource of this.feed.residents?.(this.#node) ?? []) this.#follow(resource, resources);
  }

  #follow(resource: EncodedResource | undefined, into: Map<string, EncodedResource>): void {
    if (!resource) return;
    const known = this.#followed.get(resource.name);
    this.#followed.set(resource.name, resource.version);
    if (known === undefined || known !== resource.version) into.set(resource.name, resource);
    else if (resource.version === '' && this.#changed.has(resource.name)) into.set(resource.name, resource);
  }

  /** An explicit question is answered even if the client has the resource: with it, or with "no such thing". */
  #takeOwedKeys(resources: Map<string, EncodedResource>, removed: Set<string>): void {
    for (const key of this.#owedKeys) {
      const found = this.feed.resolve(key);
      for (const resource of found) resources.set(resource.name, resource);
      if (found.length === 0) removed.add(key);
    }
    this.#owedKeys.clear();
  }
}

function tooManyKeys(): ClientLimitError {
  return new ClientLimitError('names that one client follows', MAX_KEYS_PER_CLIENT);
}
