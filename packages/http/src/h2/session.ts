/**
 * One HTTP/2 connection, either end (RFC 9113): strict about what it accepts, and about what it costs.
 *
 * Synchronous throughout: bytes in, owners called, frames gathered. The connection's window is given back as data
 * arrives and only a stream's own window waits for its reader, so a stalled stream never holds up its neighbours.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import { H2ConnectionError, H2SilentError, HpackError, StreamResetError, H2ClosedError } from '../errors.ts';
import type { HeaderFields } from '../header-fields.ts';
import { checkFields, type HeaderField, HpackEncoder } from '../hpack/encoder.ts';
import * as limits from '../limits.ts';
import { FrameReader } from './frame-reader.ts';
import { endStreamFrame, frame, numbersFrame, writeFrameHeader } from './frame-writer.ts';
import { Keepalive, pong } from './keepalive.ts';
import { LateAnswers, type LateAnswersHost } from './late-answers.ts';
import { Outbox } from './outbox.ts';
import { FLAG, FRAME, FRAME_HEADER_BYTES, H2, LARGEST_STREAM_ID, PREFACE, SETTING } from './protocol.ts';
import { ReceiveWindows } from './receive-windows.ts';
import { goawayReason, Receiver, type ReceiverHost } from './receiver.ts';
import { Sender } from './sender.ts';
import { encodeSettings, firstSettings, PeerSettings } from './settings.ts';
import { H2Stream, type StreamHandler, UNOWNED } from './stream.ts';
import { StreamTable } from './stream-table.ts';
import { thisTurn } from '../turn.ts';
import type { Transport, TransportEvents } from '../transport/transport.ts';

export interface SessionOptions {
  readonly streamWindowBytes: number;
  readonly connectionWindowBytes: number;
  readonly maxFrameBytes: number;
  /** How many streams the peer may have open at a time. */
  readonly maxStreams: number;
  /** Of one section: the peer's requests, or its responses. */
  readonly headerListBytes: number;
  /** Server: CONNECT may name a protocol (RFC 8441). */
  readonly extendedConnect: boolean;
  /** Server: what follows a CONNECT is kept until it is answered, and clients are told so. */
  readonly takesEarlyData: boolean;
  /** Client: after how many octets on a stream one waits for its answer; 0: from the start. Servers are told so. */
  readonly earlyDataBytes: number;
  readonly clock: Clock;
  readonly keepaliveIntervalMs: number;
  readonly keepaliveTimeoutMs: number;
}

export const DEFAULT_SESSION_OPTIONS: Omit<SessionOptions, 'clock'> = {
  streamWindowBytes: limits.STREAM_WINDOW_BYTES,
  connectionWindowBytes: limits.CONNECTION_WINDOW_BYTES,
  maxFrameBytes: limits.MAX_FRAME_BYTES,
  maxStreams: limits.MAX_STREAMS,
  headerListBytes: limits.HEADER_LIST_BYTES,
  extendedConnect: false,
  takesEarlyData: false,
  earlyDataBytes: 0,
  keepaliveIntervalMs: limits.KEEPALIVE_INTERVAL_MS,
  keepaliveTimeoutMs: limits.KEEPALIVE_TIMEOUT_MS,
};

/** The session's owner. */
export interface SessionHandler {
  /** Server: a request came; the answer handles its stream, unless it was given a handler meanwhile. */
  onStream?(stream: H2Stream, fields: HeaderFields, endStream: boolean): StreamHandler;
  /** Server: a request with too many fields came, and may be answered; without this it is reset. */
  onTooLarge?(stream: H2Stream): StreamHandler;
  /** Server: a request was malformed, and reset. */
  onMalformed?(problem: string): void;
  /** A stream ended, the peer's settings came or changed, or it takes no more streams: look again. */
  onChange?(): void;
  /** Exactly once, last. */
  onClosed(error: Error | undefined): void;
}

export class H2Session implements TransportEvents, ReceiverHost, LateAnswersHost {
  readonly role: 'client' | 'server';
  readonly peer: string;
  /** @internal */
  readonly streams = new StreamTable<H2Stream>();
  /** @internal */
  readonly windows: ReceiveWindows;
  /** @internal */
  readonly extendedConnect: boolean;
  readonly #transport: Transport;
  readonly #handler: SessionHandler;
  readonly #options: SessionOptions;
  readonly #reader: FrameReader;
  readonly #receiver: Receiver;
  readonly #encoder = new HpackEncoder();
  readonly #outbox: Outbox;
  readonly #settings = new PeerSettings();
  readonly #sender: Sender;
  readonly #lateAnswers: LateAnswers;
  readonly #keepalive: Keepalive;
  readonly #recentlyReset = new Set<number>();
  #state: 'open' | 'draining' | 'closed' = 'open';
  #lastPeerId = 0;
  /** The GOAWAY that names the last stream is out. */
  #saidLastStream = false;
  #lastOwnId: number;
  #goawayTimer: Timer | undefined;
  /** Closed: how long the peer may leave what is still to be sent without taking any of it. */
  #patienceMs: number = limits.GOAWAY_CONFIRM_MS;
  #error: Error | undefined;

  constructor(
    role: 'client' | 'server',
    transport: Transport,
    handler: SessionHandler,
    options: SessionOptions,
  ) {
    const isServer = role === 'server';
    const put = (bytes: Buffer) => this.#put(bytes);
    this.role = role;
    this.peer = transport.peer;
    this.extendedConnect = isServer && options.extendedConnect;
    this.#transport = transport;
    this.#handler = handler;
    this.#options = options;
    this.#lastOwnId = isServer ? 0 : -1;
    this.#outbox = new Outbox(transport);
    this.windows = new ReceiveWindows(options.connectionWindowBytes, options.streamWindowBytes, put);
    this.#receiver = new Receiver(this, options.headerListBytes, options.clock);
    this.#reader = new FrameReader(this.#receiver, options, isServer);
    this.#sender = new Sender(transport, this.#outbox, this.#settings, (stream) => this.#finish(stream));
    this.#lateAnswers = new LateAnswers(this, this.#settings, options.clock);
    this.#keepalive = new Keepalive(options, put, () => this.destroy(H2.noError, new H2SilentError()));
    if (!isServer) this.#put(PREFACE);
    this.#put(frame(FRAME.settings, 0, 0, firstSettings(isServer, options)));
    this.windows.announced(options.streamWindowBytes);
    this.windows.open();
    transport.start(this);
  }

  /** Whether new streams may be opened. */
  get isOpen(): boolean {
    return this.#state === 'open';
  }

  get isClosed(): boolean {
    return this.#state === 'closed';
  }

  /** For how long the peer owes the answer to a PING; 0 if it owes none. */
  get silentMs(): number {
    return this.#keepalive.unansweredMs;
  }

  get openStreams(): number {
    return this.streams.size;
  }

  /** Client: CONNECT may name a protocol. */
  get takesExtendedConnect(): boolean {
    return this.#settings.extendedConnect;
  }

  /** As {@link Transport.localAddress}. */
  get localAddress(): string {
    return this.#transport.localAddress;
  }

  /** Client: data may follow a CONNECT before its answer. False until the peer's SETTINGS are here. */
  get takesEarlyData(): boolean {
    return this.#settings.takesEarlyData;
  }

  /** How many streams the peer lets us have at a time; assumed until its SETTINGS are here. */
  get maxStreams(): number {
    return this.#receiver.settingsReceived ? this.#settings.maxStreams : limits.ASSUMED_PEER_STREAMS;
  }

  /**
   * Client: opens a stream.
   *
   * @throws {@link H2ClosedError} The connection takes no more streams.
   */
  request(fields: readonly HeaderField[], handler: StreamHandler, endStream = false): H2Stream {
    const stream = this.#open(handler);
    this.sendHeaders(stream, fields, endStream);
    return stream;
  }

  /**
   * As {@link request}, of plain fields.
   *
   * @throws {@link HttpError} A field has octets that may not be there; nothing was sent.
   */
  requestFields(fields: HeaderFields, handler: StreamHandler, endStream: boolean): H2Stream {
    const stream = this.#open(handler);
    try {
      this.sendFields(stream, fields, endStream, false);
    } catch (error) {
      this.#forget(stream);
      throw error;
    }
    return stream;
  }

  /** What each stream may hold for its reader from now on; at most what the options say. */
  limitStreamWindow(bytes: number): void {
    const window = Math.min(bytes, this.#options.streamWindowBytes);
    if (window === this.windows.current || this.#state === 'closed') return;
    if (this.windows.unacknowledged >= limits.UNACKNOWLEDGED_SETTINGS) {
      const problem = new H2ConnectionError(H2.settingsTimeout, 'the peer does not acknowledge SETTINGS');
      this.destroy(problem.h2Code, problem);
      return;
    }
    this.windows.announced(window);
    this.#put(frame(FRAME.settings, 0, 0, encodeSettings([[SETTING.initialWindowSize, window]])));
  }

  /** No new streams either way; the connection ends when the last one has. */
  drain(): void {
    if (this.#state !== 'open') return;
    this.#state = 'draining';
    if (this.role === 'client') {
      this.#endIfIdle();
      return;
    }
    this.#put(numbersFrame(FRAME.goaway, 0, LARGEST_STREAM_ID, H2.noError));
    this.#goawayTimer = this.#options.clock.after(limits.GOAWAY_CONFIRM_MS, () => this.#confirmGoaway());
    this.#keepalive.probe(() => this.#confirmGoaway());
  }

  /** Ends the connection now: the peer is told why, open streams are reset. */
  destroy(h2Code: number = H2.noError, error?: Error): void {
    if (this.#state === 'closed') return;
    this.#error ??= error;
    this.#outbox.put(numbersFrame(FRAME.goaway, 0, this.#lastPeerId, h2Code));
    if (h2Code === H2.noError && error === undefined) this.#patienceMs = limits.FAREWELL_MS;
    this.#close();
    this.#endWhenFlushed();
  }

  // What streams ask.

  /** @internal */
  sendHeaders(stream: H2Stream, fields: readonly HeaderField[], endStream: boolean): void {
    if (stream.closed || stream.ending) return;
    if (this.role === 'server') stream.answered = true;
    this.#sendBlock(stream, this.#encoder.encode(fields), endStream);
  }

  /** @internal */
  sendFields(stream: H2Stream, fields: HeaderFields, endStream: boolean, informational: boolean): void {
    if (stream.closed || stream.ending) return;
    if (this.role === 'server' && !informational) stream.answered = true;
    this.#sendBlock(stream, this.#encoder.encodeFields(fields), endStream);
  }

  /** @internal */
  respondLate(stream: H2Stream, fields: readonly HeaderField[]): void {
    stream.answered = true;
    this.#lateAnswers.answer(stream, fields);
  }

  /** @internal */
  sendLateAnswer(stream: H2Stream): void {
    this.#lateAnswers.send(stream);
  }

  #sendBlock(stream: H2Stream, block: Buffer, endStream: boolean): void {
    const max = this.#settings.maxFrameBytes;
    if (block.length <= max) {
      const { memory } = this.#encoder;
      const flags = endStream ? FLAG.endHeaders | FLAG.endStream : FLAG.endHeaders;
      writeFrameHeader(memory, 0, block.length, FRAME.headers, flags, stream.id);
      this.#put(memory.subarray(0, FRAME_HEADER_BYTES + block.length), !endStream);
    } else this.#putInFrames(stream, block, max, endStream);
    if (!endStream) return;
    stream.ending = true;
    this.#localEnded(stream);
  }

  /** HEADERS and as many CONTINUATION frames as it takes. */
  #putInFrames(stream: H2Stream, block: Buffer, max: number, endStream: boolean): void {
    for (let at = 0; at === 0 || at < block.length; at += max) {
      const flags =
        (at + max >= block.length ? FLAG.endHeaders : 0) | (at === 0 && endStream ? FLAG.endStream : 0);
      const type = at === 0 ? FRAME.headers : FRAME.continuation;
      this.#put(frame(type, flags, stream.id, block.subarray(at, at + max)), !endStream);
    }
  }

  /** @internal */
  sendData(stream: H2Stream, buffer: Buffer, from: number, to: number): boolean {
    if (stream.closed || stream.ending) return true;
    if (stream.lateAnswer) this.#lateAnswers.send(stream);
    this.#receiver.dataSent(to - from);
    return this.#sender.send(stream, buffer, from, to);
  }

  /** @internal */
  endStream(stream: H2Stream, trailers: HeaderFields | undefined): void {
    if (stream.closed || stream.ending) return;
    this.#lateAnswers.send(stream);
    if (trailers && trailers.length > 0) {
      // They may go out much later, when nobody is there to be told that they cannot.
      if (stream.pending.length > 0) checkFields(trailers);
      stream.trailers = trailers;
    }
    stream.ending = true;
    this.#sender.sendEnd(stream);
  }

  /** @internal */
  creditStream(stream: H2Stream, bytes: number): void {
    if (!stream.closed && !stream.remoteEnded) this.windows.taken(stream, bytes);
  }

  /** @internal */
  keep(): void {
    this.#transport.keep();
  }

  // What the transport tells.

  /** @internal */
  onBytes(bytes: Buffer): void {
    this.#transport.credit(bytes.length);
    try {
      this.#reader.read(bytes);
      if (this.#state !== 'closed') this.#sender.resume();
    } catch (error) {
      if (!(error instanceof H2ConnectionError || error instanceof HpackError)) throw error;
      this.destroy(error instanceof H2ConnectionError ? error.h2Code : H2.compressionError, error);
    }
  }

  /** @internal */
  onIdle(): void {
    this.#outbox.flush();
    if (this.#state === 'closed') this.#endWhenFlushed();
    else this.#sender.resume();
  }

  /** @internal */
  onClosed(error: Error | undefined): void {
    this.#error ??= error;
    this.#close();
    this.#outbox.clear();
    this.#goawayTimer?.cancel();
    this.#handler.onClosed(this.#error);
  }

  // What the receiver finds.

  /** @internal */
  wasOpened(streamId: number): boolean {
    const isPeers = streamId % 2 === (this.role === 'server' ? 1 : 0);
    return streamId <= (isPeers ? this.#lastPeerId : this.#lastOwnId);
  }

  /** @internal */
  wasResetByUs(streamId: number): boolean {
    return this.#recentlyReset.has(streamId);
  }

  /** @internal Of a malformed request only the number is used up. */
  openByPeer(
    streamId: number,
    fields: HeaderFields | 'malformed' | 'too-large',
    endStream: boolean,
  ): boolean {
    this.#lastPeerId = streamId;
    if (fields === 'malformed') return false;
    const handler = this.#handler;
    if (fields === 'too-large' && !handler.onTooLarge) {
      this.refuse(streamId, H2.enhanceYourCalm);
      return false;
    }
    const isFull = this.streams.size >= this.#options.maxStreams;
    if (!handler.onStream || this.#state === 'closed' || this.#saidLastStream || isFull) {
      this.refuse(streamId, H2.refusedStream);
      return false;
    }
    const stream = this.#newStream(streamId, UNOWNED);
    stream.openedInTurn = thisTurn();
    stream.remoteEnded = endStream;
    const owner =
      fields === 'too-large' ? handler.onTooLarge?.(stream) : handler.onStream?.(stream, fields, endStream);
    if (owner && stream.handler === UNOWNED) stream.handler = owner;
    if (endStream && !stream.closed) this.remoteEnded(stream);
    return true;
  }

  /** @internal */
  malformed(problem: string): void {
    this.#handler.onMalformed?.(problem);
  }

  /** @internal */
  reset(stream: H2Stream, h2Code: number, tellOwner: boolean): void {
    if (stream.closed) return;
    this.refuse(stream.id, h2Code);
    this.#forget(stream);
    if (tellOwner) stream.handler.onReset(stream, new StreamResetError(h2Code, 'us'));
  }

  /** @internal */
  breach(stream: H2Stream, h2Code: number): void {
    if (stream.closed) return;
    this.#receiver.countReset(stream);
    this.reset(stream, h2Code, false);
  }

  /** @internal */
  refuse(streamId: number, h2Code: number): void {
    this.#put(numbersFrame(FRAME.rstStream, streamId, h2Code));
    this.#recentlyReset.add(streamId);
    if (this.#recentlyReset.size <= limits.RECENTLY_RESET_STREAMS) return;
    for (const oldest of this.#recentlyReset) {
      this.#recentlyReset.delete(oldest);
      break;
    }
  }

  /** @internal */
  remoteEnded(stream: H2Stream): void {
    this.#lateAnswers.send(stream);
    stream.remoteEnded = true;
    if (stream.localEnded) this.#forget(stream);
    stream.handler.onEnd(stream);
  }

  /** @internal */
  resetByPeer(stream: H2Stream, error: StreamResetError): void {
    this.#forget(stream);
    stream.handler.onReset(stream, error);
  }

  /** @internal */
  applySettings(payload: Buffer): void {
    const before = this.#settings.initialWindowBytes;
    this.#settings.apply(payload, this.role === 'client');
    this.#encoder.limitTable(this.#settings.headerTableBytes);
    const change = this.#settings.initialWindowBytes - before;
    if (change !== 0) for (const stream of this.streams.values()) this.#sender.shiftStream(stream, change);
    this.#put(frame(FRAME.settings, FLAG.ack, 0, NOTHING));
    this.#handler.onChange?.();
  }

  /** @internal */
  widen(stream: H2Stream | undefined, bytes: number): void {
    if (stream) this.#sender.widenStream(stream, bytes);
    else this.#sender.widenConnection(bytes);
  }

  /** @internal */
  ping(payload: Buffer, isPong: boolean): void {
    if (isPong) this.#keepalive.onPong(payload);
    else this.#put(pong(payload));
  }

  /** @internal */
  goaway(lastStreamId: number, h2Code: number): void {
    if (this.#state === 'open') this.#state = 'draining';
    const error = new H2ClosedError(goawayReason(h2Code));
    for (const stream of this.streams.values()) {
      if (this.role === 'client' && stream.id > lastStreamId && !stream.closed) {
        this.resetByPeer(stream, new StreamResetError(H2.refusedStream, 'connection', { cause: error }));
      }
    }
    if (h2Code !== H2.noError) this.#error ??= error;
    this.#handler.onChange?.();
    this.#endIfIdle();
  }

  #open(handler: StreamHandler): H2Stream {
    if (this.#state !== 'open' || this.#lastOwnId + 2 > LARGEST_STREAM_ID)
      throw new H2ClosedError('no new streams');
    this.#lastOwnId += 2;
    return this.#newStream(this.#lastOwnId, handler);
  }

  /** Sends END_STREAM: nothing is pending any more. */
  #finish(stream: H2Stream): void {
    if (stream.trailers) this.#sendBlock(stream, this.#encoder.encodeFields(stream.trailers), true);
    else {
      this.#put(endStreamFrame(stream.id));
      this.#localEnded(stream);
    }
  }

  #newStream(id: number, handler: StreamHandler): H2Stream {
    const stream = new H2Stream(this, id, handler, this.#settings.initialWindowBytes, this.windows.initial);
    this.streams.add(stream);
    return stream;
  }

  #localEnded(stream: H2Stream): void {
    stream.localEnded = true;
    if (stream.remoteEnded) this.#forget(stream);
    stream.handler.onSent?.(stream);
  }

  #forget(stream: H2Stream): void {
    stream.closed = true;
    this.#sender.forget(stream);
    this.streams.delete(stream.id);
    if (this.#state === 'closed') return;
    this.#handler.onChange?.();
    this.#endIfIdle();
  }

  #confirmGoaway(): void {
    this.#goawayTimer?.cancel();
    if (this.#state === 'closed' || !this.#goawayTimer) return;
    this.#goawayTimer = undefined;
    this.#saidLastStream = true;
    this.#put(numbersFrame(FRAME.goaway, 0, this.#lastPeerId, H2.noError));
    this.#endIfIdle();
  }

  #endIfIdle(): void {
    if (this.#state === 'draining' && this.streams.size === 0 && !this.#goawayTimer) this.destroy();
  }

  /** What was said before the end still goes out, if the peer takes it. */
  #endWhenFlushed(): void {
    this.#outbox.flush();
    const isOut = this.#outbox.empty && this.#transport.idle;
    if (isOut) this.#transport.end();
    this.#goawayTimer?.cancel();
    const waitMs = isOut ? limits.GOAWAY_CONFIRM_MS : this.#patienceMs;
    this.#goawayTimer = this.#options.clock.after(waitMs, () => {
      if (isOut) this.#transport.leave();
      else this.#transport.destroy();
    });
  }

  #close(): void {
    if (this.#state === 'closed') return;
    this.#state = 'closed';
    this.#keepalive.stop();
    this.#lateAnswers.stop();
    this.#goawayTimer?.cancel();
    this.#reader.stop();
    const error = this.#error;
    for (const stream of this.streams.values()) {
      if (stream.closed) continue;
      this.#forget(stream);
      stream.handler.onReset(
        stream,
        new StreamResetError(H2.internalError, 'connection', error ? { cause: error } : {}),
      );
    }
    this.#handler.onChange?.();
  }

  #put(bytes: Buffer, moreFollows = false): void {
    if (this.#state === 'closed') return;
    if (!this.#outbox.overflowing) {
      this.#outbox.put(bytes, moreFollows);
      return;
    }
    this.#error ??= new H2ConnectionError(H2.enhanceYourCalm, 'the peer does not read what it asks for');
    this.#close();
    this.#transport.destroy();
  }
}

const NOTHING = new Uint8Array(0);
