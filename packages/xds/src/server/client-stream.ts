/**
 * One client's stream: requests in, updates out, never more than one response on its way.
 *
 * Back-pressure in both directions hangs on that one response: until the transport has taken it, nothing more is
 * encoded for this client and nothing more is read from it. What changes meanwhile is remembered as names.
 */
import type { DeltaDiscoveryRequest, Node } from '@ambit/api/discovery';
import type { Clock, Timer } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { type ServerDuplexStream, status } from '@grpc/grpc-js';
import { ClientLimitError } from '../errors.ts';
import {
  MAX_FREE_FULL_PUSH_BYTES,
  MAX_NACK_LENGTH_CHARS,
  MAX_TYPES_PER_CLIENT,
  MAX_WRITE_STALL_MS,
} from '../limits.ts';
import type { ClientNode, FeedChange } from '../resource-feed.ts';
import type { Response, ResponseWriter } from './frames.ts';
import type { FullPushGate } from './full-push-gate.ts';
import type { ServedFeed } from './served-feed.ts';
import { EVERYTHING, Subscription } from './subscription.ts';

/** What somebody outside may count. */
export interface ServerObserver {
  connected?(): void;
  disconnected?(): void;
  /** `waitedMs`: since the oldest change in it was told of. */
  pushed?(typeUrl: string, resources: number, bytes: number, waitedMs: number): void;
  /** The transport has taken a response, so many milliseconds after it was given. */
  taken?(typeUrl: string, tookMs: number): void;
  refused?(typeUrl: string, message: string): void;
}

/** One row of the list of clients. */
export interface ClientState {
  readonly identity: string;
  readonly address: string;
  readonly nodeId: string;
  readonly connectedAtMs: number;
  /** For how long the response that is on its way has not been taken; 0 when none is. */
  readonly unreadForMs: number;
  readonly types: readonly {
    readonly typeUrl: string;
    readonly wildcard: boolean;
    readonly keys: number;
    /** Names it is to hear of, once it has read what it was sent; all there is counts as none. */
    readonly owed: number;
    readonly owesEverything: boolean;
    readonly nonceSent: string;
    readonly nonceAcknowledged: string;
    /** Since when the response last sent is not acknowledged, in milliseconds; 0 when it is. */
    readonly unacknowledgedForMs: number;
    readonly lastRefusal: string | undefined;
  }[];
}

export interface ClientStreamOptions {
  readonly call: ServerDuplexStream<DeltaDiscoveryRequest, Buffer>;
  readonly identity: string;
  readonly feeds: ReadonlyMap<string, ServedFeed>;
  /** Why this client may not be served, or `undefined`. */
  readonly refuse: (identity: string, node: ClientNode) => string | undefined;
  readonly fullPushes: FullPushGate;
  readonly noncePrefix: string;
  readonly observer: ServerObserver;
  readonly clock: Clock;
  readonly log: Logger;
}

export class ClientStream {
  readonly #options: ClientStreamOptions;
  readonly #subscriptions = new Map<string, Subscription>();
  readonly #writers = new Map<string, ResponseWriter>();
  readonly #followed = new DisposableStack();
  readonly #refusals = new Map<string, string>();
  /** Monotonic times: of the last response of a type, and of the oldest change that is not in one yet. */
  readonly #sentMs = new Map<string, number>();
  readonly #changedMs = new Map<string, number>();
  readonly #connectedAtMs: number;
  #node: ClientNode | undefined;
  #responses = 0;
  #sending = false;
  #writtenMs = 0;
  #scheduled = false;
  #ended = false;
  #stall: Timer | undefined;
  /** Waiting for, and having, the turn to be sent everything. */
  #queued: Disposable | undefined;
  #turn: Disposable | undefined;

  constructor(options: ClientStreamOptions) {
    this.#options = options;
    this.#connectedAtMs = options.clock.now();
    const { call } = options;
    call.on('data', (request: DeltaDiscoveryRequest) => this.#guarded(() => this.#receive(request)));
    call.on('end', () => this.#end(() => call.end()));
  }

  get state(): ClientState {
    const nowMs = this.#options.clock.monotonicMs();
    return {
      identity: this.#options.identity,
      address: this.#options.call.getPeer(),
      nodeId: this.#node?.id ?? '',
      connectedAtMs: this.#connectedAtMs,
      unreadForMs: this.#sending ? nowMs - this.#writtenMs : 0,
      types: [...this.#subscriptions].map(([typeUrl, subscription]) => ({
        typeUrl,
        wildcard: subscription.wildcard,
        keys: subscription.keys,
        owed: subscription.owed,
        owesEverything: subscription.owesAll,
        unacknowledgedForMs: subscription.acknowledged ? 0 : nowMs - (this.#sentMs.get(typeUrl) ?? nowMs),
        nonceSent: subscription.nonceSent,
        nonceAcknowledged: subscription.nonceAcknowledged,
        lastRefusal: this.#refusals.get(typeUrl),
      })),
    };
  }

  /** Ends the stream with a status that the client sees. */
  fail(code: status, details: string): void {
    this.#end(() => this.#options.call.emit('error', Object.assign(new Error(details), { code, details })));
  }

  /** The transport is gone. */
  closed(): void {
    this.#end(() => undefined);
  }

  #end(how: () => void): void {
    this.#stall?.cancel();
    if (this.#ended) return;
    this.#ended = true;
    this.#followed.dispose();
    this.#giveTurnUp();
    how();
  }

  #guarded(run: () => void): void {
    if (this.#ended) return;
    try {
      run();
    } catch (error) {
      const code = error instanceof ClientLimitError ? status.RESOURCE_EXHAUSTED : status.INTERNAL;
      this.#options.log.warn('stream of a client ended', {
        node: this.#node?.id,
        address: this.#options.call.getPeer(),
        error: messageOf(error),
      });
      this.fail(code, messageOf(error));
    }
  }

  #receive(request: DeltaDiscoveryRequest): void {
    const { log, identity, refuse } = this.#options;
    if (request.node && !this.#node) {
      const node = clientNode(request.node);
      const reason = refuse(identity, node);
      if (reason !== undefined) {
        log.warn('client refused', { node: node.id, identity, reason });
        this.fail(status.PERMISSION_DENIED, reason);
        return;
      }
      this.#node = node;
      log.debug('client connected', { node: node.id, identity });
    }
    if (!this.#node) {
      this.fail(status.INVALID_ARGUMENT, 'the first request must name its node');
      return;
    }
    const subscription = this.#subscription(request.typeUrl, this.#node);
    if (!subscription) return;
    const outcome = subscription.request(request);
    if (outcome === 'refused') this.#refused(request);
    if (outcome === 'answer') this.#schedule();
  }

  #subscription(typeUrl: string, node: ClientNode): Subscription | undefined {
    const known = this.#subscriptions.get(typeUrl);
    if (known) return known;
    const served = this.#options.feeds.get(typeUrl);
    if (!served) {
      this.#options.log.warn('client asks for a type that is not served', {
        node: node.id,
        type: typeUrl.slice(0, 200),
      });
      return undefined;
    }
    if (this.#subscriptions.size >= MAX_TYPES_PER_CLIENT)
      throw new ClientLimitError('types of one client', MAX_TYPES_PER_CLIENT);
    const { feed, writer } = this.#followed.use(
      served.follow(node, (change) => this.#changed(typeUrl, change)),
    );
    const subscription = new Subscription(feed, node);
    this.#subscriptions.set(typeUrl, subscription);
    this.#writers.set(typeUrl, writer);
    return subscription;
  }

  #changed(typeUrl: string, change: FeedChange): void {
    const subscription = this.#subscriptions.get(typeUrl);
    if (!subscription || this.#ended) return;
    if (!this.#changedMs.has(typeUrl)) this.#changedMs.set(typeUrl, this.#options.clock.monotonicMs());
    this.#guarded(() => subscription.changed(change));
    this.#schedule();
  }

  #refused(request: DeltaDiscoveryRequest): void {
    const message = (request.errorDetail?.message ?? '').slice(0, MAX_NACK_LENGTH_CHARS);
    this.#refusals.set(request.typeUrl, message);
    this.#options.observer.refused?.(request.typeUrl, message);
    this.#options.log.warn('client refused a push', { node: this.#node?.id, type: request.typeUrl, message });
  }

  /** Sends after all that happens in this turn, so that a burst of changes is one response. */
  #schedule(): void {
    if (this.#scheduled || this.#sending || this.#ended) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#guarded(() => this.#sendNext());
    });
  }

  #sendNext(): void {
    if (this.#sending) return;
    for (const [typeUrl, subscription] of this.#inTurn()) {
      const response = this.#take(typeUrl, subscription);
      if (!response) {
        // It waits for its turn, and the others for it.
        if (subscription.feed.urgent && subscription.owesAll) return;
        continue;
      }
      subscription.sent(response.nonce);
      const nowMs = this.#options.clock.monotonicMs();
      const waitedMs = nowMs - (this.#changedMs.get(typeUrl) ?? nowMs);
      this.#changedMs.delete(typeUrl);
      this.#sentMs.set(typeUrl, nowMs);
      this.#options.observer.pushed?.(typeUrl, response.resources, response.bytes.length, waitedMs);
      this.#write(typeUrl, response.bytes);
      // Whoever was sent something goes to the end, so that no type waits behind a busy one.
      this.#subscriptions.delete(typeUrl);
      this.#subscriptions.set(typeUrl, subscription);
      return;
    }
    // It was this client's turn, but it wants everything no longer.
    if (this.#turn) this.#giveTurnUp();
  }

  #inTurn(): readonly (readonly [string, Subscription])[] {
    const all = [...this.#subscriptions];
    const urgent = all.filter(([, { feed }]) => feed.urgent);
    return urgent.length === 0 ? all : [...urgent, ...all.filter(([, { feed }]) => !feed.urgent)];
  }

  #take(typeUrl: string, subscription: Subscription): Response | undefined {
    const writer = this.#writers.get(typeUrl);
    if (!writer || (subscription.owesAll && !this.#mayTakeAll(writer))) return undefined;
    const update = subscription.take();
    if (!update) return undefined;
    if (update === EVERYTHING) return writer.everything();
    this.#responses += 1;
    return writer.response(update, `${this.#options.noncePrefix}-${this.#responses}`);
  }

  /** Large ones wait for their turn; a stream that waits is called again when it comes. */
  #mayTakeAll(writer: ResponseWriter): boolean {
    if (this.#turn) return true;
    if (this.#queued) return false;
    if (writer.everything().bytes.length <= MAX_FREE_FULL_PUSH_BYTES) return true;
    this.#queued = this.#options.fullPushes.enter({
      granted: (turn) => {
        this.#turn = turn;
        this.#schedule();
      },
      cutOff: () => this.fail(status.RESOURCE_EXHAUSTED, 'reads too slowly while others wait'),
    });
    return this.#turn !== undefined;
  }

  #giveTurnUp(): void {
    this.#queued?.[Symbol.dispose]();
    this.#turn?.[Symbol.dispose]();
    this.#queued = this.#turn = undefined;
  }

  #write(typeUrl: string, bytes: Buffer): void {
    const { call, clock, observer } = this.#options;
    this.#sending = true;
    this.#writtenMs = clock.monotonicMs();
    call.pause();
    this.#stall = clock.after(MAX_WRITE_STALL_MS, () =>
      this.fail(status.RESOURCE_EXHAUSTED, `a response was not read for ${MAX_WRITE_STALL_MS} ms`),
    );
    call.write(bytes, () => {
      this.#stall?.cancel();
      this.#sending = false;
      observer.taken?.(typeUrl, clock.monotonicMs() - this.#writtenMs);
      if (this.#turn) this.#giveTurnUp();
      if (this.#ended) return;
      call.resume();
      this.#guarded(() => this.#sendNext());
    });
  }
}

function clientNode(node: Node): ClientNode {
  const entries: readonly (readonly [string, unknown])[] = Object.entries(node.metadata ?? {});
  const texts = entries.filter((entry): entry is readonly [string, string] => typeof entry[1] === 'string');
  return { id: node.id, metadata: Object.fromEntries(texts) };
}
