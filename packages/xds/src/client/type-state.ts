/**
 * What a client holds of one type, and what it says about that: pure, and kept across reconnects.
 *
 * A name whose last version was rejected while an older one is still held, or whose removal failed, is named with an
 * empty version, so that the server sends it again or says that it is gone.
 */
import {
  createDeltaRequest,
  type DeltaDiscoveryRequest,
  type DeltaDiscoveryResponse,
  type Node,
} from '@ambit/api/discovery';
import { messageOf } from '@ambit/core/errors';
import { MAX_NACK_LENGTH_CHARS, MAX_NAME_LENGTH_CHARS } from '../limits.ts';

const WILDCARD = '*';
/** Of what is only there to be told. */
const MAX_TOLD_LENGTH_CHARS = 200;

export interface ResourceUpsert {
  readonly name: string;
  /** A view of the response: copy it to keep it. */
  readonly value: Uint8Array;
}

export interface ResourceDelta {
  readonly upserts: readonly ResourceUpsert[];
  readonly removed: readonly string[];
}

/** A resource that could not be used; the others of its delta were. */
export interface Rejection {
  readonly name: string;
  readonly reason: string;
}

export interface TypeHandler {
  readonly typeUrl: string;
  /** Ask for single names, as they are needed, instead of for everything. */
  readonly onDemand?: boolean;
  /** Applies what it can and returns the rest. Called once per response, also for an empty one. */
  apply(delta: ResourceDelta): readonly Rejection[];
}

/** What a client holds of one type, and from which response. */
export interface TypeReport {
  readonly typeUrl: string;
  readonly resources: number;
  /** Of those, the ones of which the last version was rejected: something older is in use. */
  readonly outdated: number;
  /** Of the last response: what it calls the state that it brought, and itself. Empty before the first. */
  readonly version: string;
  readonly nonce: string;
}

export class TypeState {
  readonly handler: TypeHandler;
  /** Name → version; empty for "have something older". */
  readonly #held = new Map<string, string>();
  /** Keys asked for and not answered yet. */
  readonly #asked = new Set<string>();
  #version = '';
  #nonce = '';

  constructor(handler: TypeHandler) {
    this.handler = handler;
  }

  get held(): number {
    return this.#held.size;
  }

  report(): TypeReport {
    return {
      typeUrl: this.handler.typeUrl,
      resources: this.#held.size,
      outdated: this.#held.values().reduce((count, version) => count + Number(version === ''), 0),
      version: this.#version,
      nonce: this.#nonce,
    };
  }

  /** The first request of a stream. */
  initialRequest(node: Node): DeltaDiscoveryRequest {
    const versions = new Map(this.#held);
    for (const key of this.#asked) if (!versions.has(key)) versions.set(key, '');
    const nothing = this.handler.onDemand ? [WILDCARD] : [];
    return createDeltaRequest({
      node,
      typeUrl: this.handler.typeUrl,
      resourceNamesSubscribe: nothing,
      resourceNamesUnsubscribe: nothing,
      initialResourceVersions: versions,
    });
  }

  /** A request for one more key. */
  demand(key: string): DeltaDiscoveryRequest {
    this.#asked.add(key);
    return createDeltaRequest({ typeUrl: this.handler.typeUrl, resourceNamesSubscribe: [key] });
  }

  /** Nobody waits for it any more. */
  forgetDemand(key: string): void {
    this.#asked.delete(key);
  }

  /** Hands a response to the handler; the result is the acknowledgement, and the keys that were answered. */
  receive(response: DeltaDiscoveryResponse): {
    readonly reply: DeltaDiscoveryRequest;
    readonly answered: readonly string[];
    readonly rejections: readonly Rejection[];
  } {
    const { good, bad } = this.#sorted(response);
    this.#version = response.systemVersionInfo.slice(0, MAX_TOLD_LENGTH_CHARS);
    this.#nonce = response.nonce.slice(0, MAX_TOLD_LENGTH_CHARS);
    const { refused, isDone } = this.#applied({ upserts: good, removed: response.removedResources });
    const rejections = [...bad, ...refused];
    const rejected = new Set(rejections.map(({ name }) => name));
    for (const { name, version } of response.resources) {
      if (!rejected.has(name)) this.#held.set(name, version);
      else if (this.#held.has(name)) this.#held.set(name, '');
    }
    for (const name of response.removedResources) {
      if (isDone) this.#held.delete(name);
      else if (this.#held.has(name)) this.#held.set(name, '');
    }
    const answered = [
      ...response.resources.flatMap(({ name, aliases }) => [name, ...aliases]),
      ...response.removedResources,
    ].filter((key) => this.#asked.delete(key));
    return { reply: acknowledgement(response, rejections), answered, rejections };
  }

  #sorted(response: DeltaDiscoveryResponse): { good: ResourceUpsert[]; bad: Rejection[] } {
    const good = new Map<string, ResourceUpsert>();
    const bad: Rejection[] = [];
    for (const { name, resource } of response.resources) {
      const problem =
        name === '' || name.length > MAX_NAME_LENGTH_CHARS
          ? `a name has 1 to ${MAX_NAME_LENGTH_CHARS} characters`
          : !resource
            ? 'no resource'
            : resource.typeUrl !== this.handler.typeUrl
              ? `type ${resource.typeUrl.slice(0, MAX_TOLD_LENGTH_CHARS)} where ${this.handler.typeUrl} is due`
              : undefined;
      if (problem !== undefined) bad.push({ name, reason: problem });
      else if (resource) good.set(name, { name, value: resource.value });
    }
    return { good: [...good.values()], bad };
  }

  /** What a handler that throws has done of it is not known: the next stream asks for all of it again. */
  #applied(delta: ResourceDelta): { readonly refused: readonly Rejection[]; readonly isDone: boolean } {
    try {
      return { refused: this.handler.apply(delta), isDone: true };
    } catch (error) {
      const reason = `internal error: ${messageOf(error)}`;
      const refused = delta.upserts.map(({ name }) => ({ name, reason }));
      if (delta.removed.length > 0) refused.push({ name: '(removals)', reason });
      return { refused, isDone: false };
    }
  }
}

/** ACK; or NACK, whose text names each bad resource and why. */
export function acknowledgement(
  response: DeltaDiscoveryResponse,
  rejections: readonly Rejection[],
): DeltaDiscoveryRequest {
  const ack = { typeUrl: response.typeUrl, responseNonce: response.nonce };
  if (rejections.length === 0) return createDeltaRequest(ack);
  const errorDetail = { code: 0, message: refusalText(rejections), details: [] };
  return createDeltaRequest({ ...ack, errorDetail });
}

function refusalText(rejections: readonly Rejection[]): string {
  let text = '';
  for (const [i, { name, reason }] of rejections.entries()) {
    const next = `${i === 0 ? '' : '; '}${name.slice(0, MAX_TOLD_LENGTH_CHARS)}: ${reason}`;
    if (text.length + next.length > MAX_NACK_LENGTH_CHARS)
      return `${text}; and ${rejections.length - i} more`;
    text += next;
  }
  return text;
}
