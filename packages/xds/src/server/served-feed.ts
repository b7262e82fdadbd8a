/**
 * A feed on its way to clients: once for all of them, or once for each audience that has clients.
 *
 * A view is opened for the first client of an audience and closed after the last; a change is told only to the streams
 * whose view it concerns.
 */
import type { Clock } from '@ambit/core/clock';
import type { ClientNode, EncodedResource, FeedChange, FeedView, ResourceFeed } from '../resource-feed.ts';
import { ResponseWriter } from './frames.ts';

export type FeedListener = (change: FeedChange) => void;

/** What one client follows, and the encodings that it shares with others. */
export interface FollowedFeed {
  readonly feed: FeedView;
  readonly writer: ResponseWriter;
}

export interface ServedFeedOptions {
  readonly feed: ResourceFeed;
  readonly systemVersion: () => string;
  /** Sets the nonces of shared responses apart from those of other feeds. */
  readonly noncePrefix: string;
  readonly clock: Clock;
}

export class ServedFeed implements Disposable {
  readonly #options: ServedFeedOptions;
  readonly #encoded = new WeakMap<EncodedResource, Uint8Array>();
  /** By audience; one under the empty name for a feed that everybody sees whole. */
  readonly #followed = new Map<string, Followed>();
  #opened = 0;

  constructor(options: ServedFeedOptions) {
    this.#options = options;
  }

  /** Calls `listener` with each change that `node` may see, until disposed of. */
  follow(node: ClientNode, listener: FeedListener): FollowedFeed & Disposable {
    const audience = this.#options.feed.views?.audienceOf(node) ?? '';
    const followed = this.#followed.get(audience) ?? this.#open(audience);
    followed.listeners.add(listener);
    return {
      feed: followed.feed,
      writer: followed.writer,
      [Symbol.dispose]: () => {
        if (!followed.listeners.delete(listener) || followed.listeners.size > 0) return;
        if (this.#followed.get(audience) !== followed) return;
        this.#followed.delete(audience);
        followed[Symbol.dispose]();
      },
    };
  }

  [Symbol.dispose](): void {
    for (const followed of this.#followed.values()) followed[Symbol.dispose]();
    this.#followed.clear();
  }

  #open(audience: string): Followed {
    const { feed: whole, systemVersion, noncePrefix, clock } = this.#options;
    const scope = new DisposableStack();
    const view = whole.views && scope.use(whole.views.open(audience));
    const feed = view ?? whole;
    this.#opened += 1;
    // The writer hears of a change first: whoever is told next may ask it for everything.
    const writer = scope.use(
      new ResponseWriter({
        feed,
        systemVersion,
        noncePrefix: `${noncePrefix}-${this.#opened}`,
        encoded: this.#encoded,
        clock,
      }),
    );
    const listeners = new Set<FeedListener>();
    scope.use(
      feed.subscribe((change) => {
        for (const listener of listeners) listener(change);
      }),
    );
    const followed = { feed, writer, listeners, [Symbol.dispose]: () => scope.dispose() };
    this.#followed.set(audience, followed);
    return followed;
  }
}

interface Followed extends FollowedFeed, Disposable {
  readonly listeners: Set<FeedListener>;
}
