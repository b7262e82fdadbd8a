/**
 * One stream of a client's tunnel, from its CONNECT to whoever carries it: is it for us, what does it speak.
 *
 * The client is told that it is connected as soon as its destination is known; which of the destination's endpoints is
 * meant is decided for each request later. A port that declares what it speaks is believed. On one that does not, the first
 * bytes are looked at, for a moment: a client that waits for the server to speak first must not wait long. Unless there are
 * rules for requests: then nobody gets past them by being slow, and what may be a request is served as one.
 */
import type { Timer } from '@ambit/core/clock';
import type { StreamResetError } from '@ambit/http/errors';
import { H2 } from '@ambit/http/h2/protocol';
import type { H2Stream, StreamHandler } from '@ambit/http/h2/stream';
import { fieldValue, type HeaderFields } from '@ambit/http/header-fields';
import { StreamTransport } from '@ambit/http/transport/stream-transport';
import { parseBaggage } from '@ambit/hbone/baggage';
import { acceptFields, fieldValues, isFromOtherNetwork } from '@ambit/hbone/headers';
import { refuseStream, type ServerTunnel } from '@ambit/hbone/server';
import type { AppProtocol } from '@ambit/model/service';
import { parseIdentity } from '@ambit/model/workload';
import { type Destination, type DestinationRefusal, decideDestination } from '../decide/destination.ts';
import { type Carrier, carrierFor } from '../decide/sniff.ts';
import {
  ATTACHMENT_WAIT_MS,
  EARLY_BYTES,
  SNIFF_HTTP_WAIT_MS,
  SNIFF_REST_MS,
  SNIFF_WAIT_MS,
} from '../limits.ts';
import type { InboundContext } from './context.ts';

interface Sniffing {
  readonly destination: Destination;
  /** Whatever may be a request is one: there are rules for requests. */
  readonly isGuarded: boolean;
}

export class ClientStream implements StreamHandler {
  readonly #context: InboundContext;
  readonly #tunnel: ServerTunnel;
  readonly #stream: H2Stream;
  readonly #fields: HeaderFields;
  readonly #authority: string;
  /** What came before anybody took it; uncredited. */
  #early: Buffer[] = [];
  #earlyBytes = 0;
  #over = false;
  /** Counted among those that are open. */
  #isAdmitted = false;
  #timer: Timer | undefined;
  /** Set while first bytes are waited for. */
  #sniffing: Sniffing | undefined;

  constructor(context: InboundContext, tunnel: ServerTunnel, stream: H2Stream, fields: HeaderFields) {
    this.#context = context;
    this.#tunnel = tunnel;
    this.#stream = stream;
    this.#fields = fields;
    this.#authority = fieldValue(fields, ':authority') ?? '';
    if (fieldValue(fields, ':method') !== 'CONNECT' || fieldValue(fields, ':protocol') !== undefined) {
      this.#refuse(400, 'not-connect', 'a tunnel carries CONNECT alone');
    }
  }

  /** @returns Who handles the stream from now on. */
  start(): StreamHandler {
    if (this.#over) return this.#stream.handler;
    this.#stream.handler = this;
    const { admission } = this.#context;
    if (!admission.tryConnection(this.#tunnel.identity)) {
      this.#refuse(503, 'overloaded', 'too many connections');
      return this.#stream.handler;
    }
    this.#isAdmitted = true;
    this.#step(() => this.#begin());
    return this.#stream.handler;
  }

  #begin(): void {
    const decision = this.#decide();
    if (decision.kind !== 'refuse') this.#accept(decision);
    else if (decision.mayCome) this.#wait();
    else this.#refuse(decision.status, decision.reason, decision.message);
  }

  // The stream, before somebody carries it.

  onHeaders(): void {}

  onData(_stream: H2Stream, bytes: Buffer): void {
    this.#earlyBytes += bytes.length;
    if (this.#earlyBytes > EARLY_BYTES && !this.#sniffing) {
      this.#stream.reset(H2.enhanceYourCalm);
      this.#end();
      return;
    }
    this.#early.push(Buffer.from(bytes));
    const sniffing = this.#sniffing;
    if (sniffing) this.#step(() => this.#sniff(sniffing));
  }

  onEnd(): void {
    this.#step(() => this.#giveUpSniffing());
  }

  onReset(_stream: H2Stream, _error: StreamResetError): void {
    this.#end();
  }

  onWritable(): void {}

  #decide(): Destination | DestinationRefusal {
    const { mesh, self } = this.#context;
    const clientNamespace = parseIdentity(this.#tunnel.identity)?.namespace;
    return decideDestination(mesh, self, { authority: this.#authority, clientNamespace });
  }

  /** The client's node may have heard of the service before us. */
  #wait(): void {
    const probe = () => {
      const decision = this.#decide();
      return this.#over || decision.kind !== 'refuse' ? decision : undefined;
    };
    const goOn = (decision: Destination | DestinationRefusal) => {
      if (decision.kind === 'refuse') this.#refuse(decision.status, decision.reason, decision.message);
      else this.#accept(decision);
    };
    this.#context.meshWaits.until(probe, ATTACHMENT_WAIT_MS).then(
      (found) => this.#step(() => goOn(found ?? this.#decide())),
      (error: unknown) =>
        this.#step(() => {
          throw error;
        }),
    );
  }

  #accept(destination: Destination): void {
    this.#stream.respond(acceptFields(this.#context.baggage()), false);
    const carrier = carrierOf(destination.protocol);
    if (carrier) this.#carry(destination, carrier);
    else this.#beginSniffing(destination);
  }

  #beginSniffing(destination: Destination): void {
    const isGuarded = this.#context.hasHttpRules(destination);
    this.#sniffing = { destination, isGuarded };
    if (this.#early.length === 0) {
      this.#await(isGuarded ? SNIFF_HTTP_WAIT_MS : SNIFF_WAIT_MS);
      return;
    }
    this.#await(SNIFF_REST_MS);
    this.#sniff(this.#sniffing);
  }

  /** Then what came must do, or that nothing came. */
  #await(ms: number): void {
    this.#timer?.cancel();
    this.#timer = this.#context.clock.after(ms, () => this.#step(() => this.#giveUpSniffing()));
  }

  #giveUpSniffing(): void {
    const sniffing = this.#sniffing;
    if (sniffing) this.#found(sniffing.destination, sniffing.isGuarded ? 'http' : 'tcp');
  }

  #sniff({ destination, isGuarded }: Sniffing): void {
    const [first] = this.#early;
    const bytes = this.#early.length === 1 && first ? first : Buffer.concat(this.#early);
    const carrier = carrierFor(bytes, isGuarded);
    if (carrier) this.#found(destination, carrier);
    else if (this.#early.length === 1) this.#await(SNIFF_REST_MS);
  }

  #found(destination: Destination, carrier: Carrier): void {
    if (this.#over || !this.#sniffing) return;
    this.#sniffing = undefined;
    this.#timer?.cancel();
    this.#carry(destination, carrier);
  }

  #carry(destination: Destination, carrier: Carrier): void {
    const { peer } = this.#tunnel;
    const early = this.#early;
    this.#early = [];
    this.#over = true;
    const transport = new StreamTransport(this.#stream, `${peer.ip}:${peer.port}`, early);
    const { identity } = this.#tunnel;
    let isCounted = true;
    const closed = () => {
      if (isCounted) this.#context.admission.endConnection(identity);
      isCounted = false;
    };
    try {
      this.#context.carry({
        destination,
        carrier,
        transport,
        tunnel: this.#tunnel,
        toldOfClient: () => parseBaggage(fieldValues(this.#fields, 'baggage')),
        isFromOtherNetwork: isFromOtherNetwork(this.#fields, this.#context.network),
        closed,
      });
    } catch (error) {
      // Nobody carries it, so nobody else would say that it is over.
      closed();
      throw error;
    }
  }

  /** Goes on. A fault of ours ends this stream, and not the process. */
  #step(act: () => void): void {
    if (this.#over) return;
    this.#context.faults.contain('a connection failed', act, () => {
      this.#stream.reset(H2.internalError);
      this.#end();
    });
  }

  #refuse(status: number, reason: string, message: string): void {
    this.#context.refused(this.#tunnel, this.#authority, status, reason, message);
    refuseStream(this.#stream, status);
    this.#end();
  }

  #end(): void {
    if (this.#over) return;
    this.#over = true;
    this.#early = [];
    this.#timer?.cancel();
    if (this.#isAdmitted) this.#context.admission.endConnection(this.#tunnel.identity);
  }
}

/** `undefined`: to be found out. */
function carrierOf(protocol: AppProtocol | undefined): Carrier | undefined {
  switch (protocol) {
    case 'HTTP11':
    case 'HTTP2':
    case 'GRPC':
      return 'http';
    case 'TLS':
      return 'tls';
    case 'TCP':
      return 'tcp';
    case undefined:
      return undefined;
    default:
      return protocol satisfies never;
  }
}
