/**
 * What every proxied connection has, whichever way it goes: it is listed while it is open, counted from its record to its
 * end, and told in one line of the access log.
 *
 * Opened and ended are one call each, and `end` works once: whatever path a connection takes to its end, its numbers agree.
 *
 * What a connection does by itself, and when its socket is connected or its stream answered, it does through `step` and
 * `later`: a fault of ours there ends that connection. Uncaught it would end the process, and every connection of the node
 * with it. What moves bytes is called for each piece, and does without.
 */
import { messageOf } from '@ambit/core/errors';
import { type Endpoint, formatHostPort } from '@ambit/core/ip';
import { NOWHERE } from '@ambit/http/roster';
import type { AuthorizationRequest } from '@ambit/model/decide/authorize';
import type { ConnectionReport } from '../threads/messages.ts';
import type { AccessRecord } from './access-log.ts';
import type { Pod } from './pod.ts';
import type { CountedConnection } from './traffic-counters.ts';
import type { Traffic } from './traffic.ts';
import { FaultError, flagOf, isExpected, PolicyChangeError, PolicyRejectionError } from './errors.ts';

/** Known once it is decided where a connection goes. */
export interface ConnectionFacts {
  readonly traffic: Traffic;
  readonly protocol: ConnectionReport['protocol'];
  /** Where the application connected to; `undefined` for what came through a tunnel. */
  readonly originalDestination: Endpoint | undefined;
  /** Where the connection goes on to, as reports of open connections tell it. */
  readonly actualDestination: Endpoint;
  /** The access log's `dst.addr`. */
  readonly loggedDestination: Endpoint;
  /** `:authority` of the tunnel. */
  readonly hboneAddress: string | undefined;
}

export abstract class Connection {
  readonly pod: Pod;
  /** @internal Among the pod's. */
  podPlace = NOWHERE;
  readonly direction: ConnectionReport['direction'];
  #facts: ConnectionFacts | undefined;
  #counted: CountedConnection | undefined;
  #openedAtMs = 0;
  #countedReceived = 0;
  #countedSent = 0;
  #ended = false;
  /** As {@link isAtRest} saw them last; nothing is that before it has looked. */
  #lookedReceived = -1;
  #lookedSent = -1;
  /** Whether policy is to be asked again: see policy-watch.ts. */
  awaitsPolicy = false;

  constructor(pod: Pod, direction: ConnectionReport['direction']) {
    this.pod = pod;
    this.direction = direction;
    pod.connections.add(this);
  }

  get isEnded(): boolean {
    return this.#ended;
  }

  /** What policy was asked when it let the connection in; `undefined` if nothing is to be asked again. */
  get authorization(): AuthorizationRequest | undefined {
    return undefined;
  }

  /** Whoever connected. */
  protected abstract get source(): Endpoint;
  /** Bytes from downstream to upstream so far. */
  protected abstract get receivedBytes(): number;
  protected abstract get sentBytes(): number;
  /** Whether the last bytes went from upstream to downstream. */
  protected abstract get isAnswered(): boolean;
  /** Closes every socket and stream of it. */
  protected abstract release(error: Error | undefined): void;
  /** Ends it because of what went wrong, and tells the client if there is a way to. */
  protected abstract failed(error: Error): void;

  /** Does what moves it on; what that throws ends it. */
  protected step(act: () => void): void {
    try {
      act();
    } catch (error) {
      this.#broke(error);
    }
  }

  /** Goes on with what is waited for; a rejection, and what going on throws, end it. */
  protected later<T>(awaited: Promise<T>, goOn: (value: T) => void): void {
    awaited.then(goOn).catch((error: unknown) => this.#broke(error));
  }

  /** Counts the bytes that moved since the last call. */
  count(): void {
    const received = this.receivedBytes;
    const sent = this.sentBytes;
    this.#counted?.addBytes(received - this.#countedReceived, sent - this.#countedSent);
    this.#countedReceived = received;
    this.#countedSent = sent;
  }

  /** `undefined` as long as it is not decided where it goes. */
  report(): ConnectionReport | undefined {
    const facts = this.#facts;
    if (!facts) return undefined;
    const { traffic, protocol, originalDestination } = facts;
    const outbound = this.direction === 'outbound';
    return {
      podUid: this.pod.info.uid,
      direction: this.direction,
      src: text(this.source),
      originalDst: originalDestination && text(originalDestination),
      actualDst: text(facts.actualDestination),
      protocol,
      srcIdentity: traffic.source.principal || undefined,
      dstIdentity: traffic.destination.principal || undefined,
      openedAtMs: this.#openedAtMs,
      bytesSent: outbound ? this.receivedBytes : this.sentBytes,
      bytesReceived: outbound ? this.sentBytes : this.receivedBytes,
    };
  }

  /**
   * Whether nothing moved since the last look, and what moved last went to whoever connected: an exchange that is over, as
   * far as one can tell who does not read it. The first look never says so.
   */
  isAtRest(): boolean {
    const received = this.receivedBytes;
    const sent = this.sentBytes;
    const isStill = received === this.#lookedReceived && sent === this.#lookedSent;
    this.#lookedReceived = received;
    this.#lookedSent = sent;
    return isStill && this.isAnswered;
  }

  /** Ends it from outside: drained, or refused by policy as it is now. */
  cut(error: Error): void {
    this.end(error);
  }

  /** It is decided where the connection goes: from here on it counts. Once more if it goes elsewhere before it began. */
  protected opened(facts: ConnectionFacts): void {
    const { counters, clock, accessLog } = this.pod.worker;
    if (!this.#facts) this.#openedAtMs = clock.now();
    this.#facts = facts;
    this.#counted?.close('-');
    this.#counted = counters.open(facts.traffic);
    if (accessLog.wants('debug')) accessLog.opened(this.#record(facts, undefined));
  }

  /** Something about the far end became known that was not when it opened; for the log alone. */
  protected learned(traffic: Traffic): void {
    if (this.#facts) this.#facts = { ...this.#facts, traffic };
  }

  /** Releases everything, and reports; without facts there is only a warning. */
  protected end(error: Error | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.release(error);
    this.count();
    this.#counted?.close(flagOf(error));
    this.#log(error);
    this.pod.ended(this);
  }

  #broke(error: unknown): void {
    if (isExpected(error)) {
      this.failed(error);
      return;
    }
    this.pod.tellFault(error);
    this.failed(new FaultError({ cause: error }));
  }

  #log(error: Error | undefined): void {
    const { accessLog } = this.pod.worker;
    const facts = this.#facts;
    if (!accessLog.wants(error === undefined ? 'info' : facts ? 'error' : 'warn')) return;
    if (!facts) {
      accessLog.refused(this.direction, text(this.source), undefined, messageOf(error));
      return;
    }
    accessLog.ended(this.#record(facts, error));
  }

  #record(facts: ConnectionFacts, error: Error | undefined): AccessRecord {
    return {
      traffic: facts.traffic,
      sourceAddress: text(this.source),
      destinationAddress: text(facts.loggedDestination),
      hboneAddress: facts.hboneAddress,
      direction: this.direction,
      receivedBytes: this.receivedBytes,
      sentBytes: this.sentBytes,
      durationMs: Math.max(0, this.pod.worker.clock.now() - this.#openedAtMs),
      policies: policiesOf(error),
      error: error === undefined ? undefined : messageOf(error),
    };
  }
}

function policiesOf(error: Error | undefined): readonly string[] {
  return error instanceof PolicyRejectionError || error instanceof PolicyChangeError ? error.policies : [];
}

function text({ ip, port }: Endpoint): string {
  return formatHostPort(ip, port);
}
