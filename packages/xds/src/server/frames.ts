/**
 * Responses as bytes, with every resource encoded once however many clients get it.
 *
 * Protobuf messages that are written one after the other are one message, so a response is its head and then the kept
 * encodings of its resources. The response that holds everything is the same for all who get it, nonce included, and is
 * made once for clients that connect within a short time of each other.
 */
import { createDeltaResponse, createResource, encodeDeltaResponse } from '@ambit/api/discovery';
import type { Clock, Timer } from '@ambit/core/clock';
import { SHARED_RESPONSE_MS } from '../limits.ts';
import type { EncodedResource, FeedView } from '../resource-feed.ts';
import type { Update } from './subscription.ts';

/** A message that is ready to go. */
export interface Response {
  readonly nonce: string;
  readonly bytes: Buffer;
  readonly resources: number;
}

export interface ResponseWriterOptions {
  readonly feed: FeedView;
  readonly systemVersion: () => string;
  /** Sets the nonces of shared responses apart from all others. */
  readonly noncePrefix: string;
  /** Encodings that are kept for as long as their resources are; shared by writers of one type. */
  readonly encoded: WeakMap<EncodedResource, Uint8Array>;
  readonly clock: Clock;
}

export class ResponseWriter implements Disposable {
  readonly #options: ResponseWriterOptions;
  readonly #subscription: Disposable;
  #shared: Response | undefined;
  #sharedCount = 0;
  #forgetting: Timer | undefined;

  constructor(options: ResponseWriterOptions) {
    this.#options = options;
    this.#subscription = options.feed.subscribe(() => this.#forget());
  }

  response({ resources, removed }: Update, nonce: string): Response {
    return this.#encode(resources, removed, nonce);
  }

  /** All that the feed has. It may be older than the feed is, but holds all that the feed has told of. */
  everything(): Response {
    const { feed, noncePrefix, clock } = this.#options;
    if (!this.#shared) {
      this.#sharedCount += 1;
      this.#shared = this.#encode([...feed.all()], [], `${noncePrefix}-all-${this.#sharedCount}`);
    }
    const shared = this.#shared;
    this.#forgetting?.cancel();
    this.#forgetting = clock.after(SHARED_RESPONSE_MS, () => this.#forget());
    return shared;
  }

  [Symbol.dispose](): void {
    this.#subscription[Symbol.dispose]();
    this.#forget();
  }

  #forget(): void {
    this.#forgetting?.cancel();
    this.#shared = undefined;
  }

  #encode(resources: readonly EncodedResource[], removed: readonly string[], nonce: string): Response {
    const { feed, systemVersion } = this.#options;
    const head = createDeltaResponse({
      typeUrl: feed.typeUrl,
      nonce,
      systemVersionInfo: systemVersion(),
      removedResources: [...removed],
    });
    const parts = resources.map((resource) => this.#resource(resource));
    return {
      nonce,
      resources: resources.length,
      bytes: Buffer.concat([encodeDeltaResponse(head), ...parts]),
    };
  }

  #resource(resource: EncodedResource): Uint8Array {
    const { encoded } = this.#options;
    const known = encoded.get(resource);
    if (known) return known;
    const { name, version, aliases, value } = resource;
    const { typeUrl } = this.#options.feed;
    const message = createResource({ name, version, aliases: [...aliases], resource: { typeUrl, value } });
    const bytes = encodeDeltaResponse(createDeltaResponse({ resources: [message] }));
    encoded.set(resource, bytes);
    return bytes;
  }
}
