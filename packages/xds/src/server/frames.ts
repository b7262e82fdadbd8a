/**
 * Responses as bytes, with every resource encoded once however many clients get it.
 *
 * Protobuf messages that are written one after the other are one message, so a response is its head and then the kept
 * encodings of its resources.
 */
import { createDeltaResponse, createResource, encodeDeltaResponse } from '@ambit/api/discovery';
import type { EncodedResource } from '../resource-feed.ts';
import type { Update } from './subscription.ts';

export class ResponseWriter {
  readonly #typeUrl: string;
  readonly #encoded = new WeakMap<EncodedResource, Uint8Array>();

  constructor(typeUrl: string) {
    this.#typeUrl = typeUrl;
  }

  response(update: Update, nonce: string, systemVersion: string): Buffer {
    const head = createDeltaResponse({
      typeUrl: this.#typeUrl,
      nonce,
      systemVersionInfo: systemVersion,
      removedResources: update.removed,
    });
    return Buffer.concat([
      encodeDeltaResponse(head),
      ...update.resources.map((resource) => this.#resource(resource)),
    ]);
  }

  #resource(resource: EncodedResource): Uint8Array {
    const known = this.#encoded.get(resource);
    if (known) return known;
    const { name, version, aliases, value } = resource;
    const message = createResource({ name, version, aliases, resource: { typeUrl: this.#typeUrl, value } });
    const bytes = encodeDeltaResponse(createDeltaResponse({ resources: [message] }));
    this.#encoded.set(resource, bytes);
    return bytes;
  }
}
