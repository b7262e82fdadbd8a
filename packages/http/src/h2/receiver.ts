/**
 * What each frame from the peer does (RFC 9113 §5, §6), and which are refused.
 *
 * Throws `H2ConnectionError` for what ends the connection and `HpackError` likewise; what concerns one stream resets
 * that stream here. The order of checks decides which error code the peer sees, and h2spec looks.
 */
import type { Clock } from '@ambit/core/clock';
import { H2ConnectionError, H2StreamError, StreamResetError } from '../errors.ts';
import { fieldValue, type HeaderFields } from '../header-fields.ts';
import { HpackDecoder } from '../hpack/decoder.ts';
import * as limits from '../limits.ts';
import { FloodGuard } from './flood.ts';
import type { FrameSink } from './frame-reader.ts';
import { type CompleteBlock, HeaderBlock } from './header-block.ts';
import { DEFAULT_MAX_FRAME_BYTES, FLAG, FRAME, H2, h2CodeName } from './protocol.ts';
import type { ReceiveWindows } from './receive-windows.ts';
import type { H2Stream } from './stream.ts';
import type { StreamTable } from './stream-table.ts';
import { thisTurn } from '../turn.ts';
import { requestProblem, responseProblem, trailersProblem } from './validate.ts';

/** What the receiver asks of its session. */
export interface ReceiverHost {
  readonly role: 'client' | 'server';
  readonly streams: Pick<StreamTable<H2Stream>, 'get' | 'values'>;
  readonly windows: ReceiveWindows;
  /** Requests may be CONNECT with a protocol. */
  readonly extendedConnect: boolean;
  /** Whether the id was used, by either side. */
  wasOpened(streamId: number): boolean;
  wasResetByUs(streamId: number): boolean;
  /** A request: the session opens the stream or refuses it. Whether it opened it. */
  openByPeer(streamId: number, fields: HeaderFields | 'malformed' | 'too-large', endStream: boolean): boolean;
  malformed(problem: string): void;
  reset(stream: H2Stream, h2Code: number, tellOwner: boolean): void;
  /** A frame for a stream that the session does not know any more. */
  refuse(streamId: number, h2Code: number): void;
  remoteEnded(stream: H2Stream): void;
  /** The peer says more on a stream than came with its request. */
  sendLateAnswer(stream: H2Stream): void;
  resetByPeer(stream: H2Stream, error: StreamResetError): void;
  applySettings(payload: Buffer): void;
  widen(stream: H2Stream | undefined, bytes: number): void;
  ping(payload: Buffer, isPong: boolean): void;
  goaway(lastStreamId: number, h2Code: number): void;
}

type Guards = { readonly [kind in keyof typeof limits.FLOOD]: FloodGuard };

export class Receiver implements FrameSink {
  readonly #host: ReceiverHost;
  readonly #decoder: HpackDecoder;
  readonly #block: HeaderBlock;
  readonly #guards: Guards;
  #settingsReceived = false;
  /** The stream whose DATA frame is being read, unless its bytes are dropped. */
  #data: H2Stream | undefined;
  #isEmpty = false;

  constructor(host: ReceiverHost, listBytes: number, clock: Clock) {
    this.#host = host;
    this.#block = new HeaderBlock(listBytes);
    this.#decoder = new HpackDecoder(limits.HEADER_TABLE_BYTES, listBytes);
    this.#guards = {
      ping: new FloodGuard(limits.FLOOD.ping, clock),
      settings: new FloodGuard(limits.FLOOD.settings, clock),
      rapidReset: new FloodGuard(limits.FLOOD.rapidReset, clock),
      useless: new FloodGuard(limits.FLOOD.useless, clock),
    };
  }

  get settingsReceived(): boolean {
    return this.#settingsReceived;
  }

  /** The peer is sent data: gRPC answers with PINGs, to measure how much the way to it holds. */
  dataSent(bytes: number): void {
    this.#guards.ping.earn(1 + Math.floor(bytes / DEFAULT_MAX_FRAME_BYTES));
  }

  /**
   * The peer resets a request, or has us reset it, which frees its place while work on it may go on.
   *
   * @throws {@link H2ConnectionError} Too many were, before an answer.
   */
  countReset(stream: H2Stream): void {
    if (this.#host.role === 'server' && (!stream.answered || stream.openedInTurn === thisTurn()))
      this.#admit('rapidReset', 'streams reset before an answer');
  }

  onDataBegin(streamId: number, length: number): void {
    this.#require(FRAME.data);
    if (streamId === 0) throw new H2ConnectionError(H2.protocolError, 'DATA on stream 0');
    this.#data = undefined;
    const stream = this.#host.streams.get(streamId);
    if (!stream && !this.#host.wasOpened(streamId)) {
      throw new H2ConnectionError(H2.protocolError, 'DATA on an idle stream');
    }
    this.#host.windows.receivedOnConnection(length);
    if (!stream) {
      this.#late(streamId);
      return;
    }
    if (stream.remoteEnded) {
      this.#breach(stream, H2.streamClosed);
      return;
    }
    try {
      this.#host.windows.receivedOnStream(stream, length);
    } catch (error) {
      this.#streamError(stream, error);
      return;
    }
    this.#data = stream;
    this.#isEmpty = length === 0;
    if (stream.lateAnswer && stream.receivedBytes > 0) this.#host.sendLateAnswer(stream);
    stream.receivedBytes += length;
  }

  onDataSize(bytes: number): void {
    const stream = this.#data;
    if (stream && !stream.closed) stream.handler.onDataSize?.(stream, bytes);
  }

  onDataBytes(bytes: Buffer): void {
    const stream = this.#data;
    if (stream && !stream.closed) stream.handler.onData(stream, bytes);
  }

  onPadding(bytes: number): void {
    const stream = this.#data;
    if (stream && !stream.closed) stream.credit(bytes);
  }

  onDataEnd(endStream: boolean): void {
    const stream = this.#data;
    this.#data = undefined;
    if (!endStream && this.#isEmpty) this.#admit('useless', 'empty DATA frames');
    if (stream && endStream && !stream.closed) this.#host.remoteEnded(stream);
  }

  onFrame(type: number, flags: number, streamId: number, payload: Buffer): void {
    this.#require(type);
    switch (type) {
      case FRAME.headers:
        this.#onBlock(this.#block.begin(streamId, flags, payload));
        return;
      case FRAME.continuation:
        this.#onBlock(this.#block.continue(streamId, flags, payload));
        return;
      case FRAME.rstStream:
        this.#onRstStream(streamId, payload);
        return;
      case FRAME.settings:
        this.#onSettings(flags, streamId, payload);
        return;
      case FRAME.pushPromise:
        throw new H2ConnectionError(H2.protocolError, 'PUSH_PROMISE is not allowed');
      case FRAME.ping:
        this.#onPing(flags, streamId, payload);
        return;
      case FRAME.goaway:
        this.#onGoaway(streamId, payload);
        return;
      case FRAME.windowUpdate:
        this.#onWindowUpdate(streamId, payload);
        return;
      case FRAME.priority:
        this.#onPriority(streamId, payload);
        return;
      default:
        this.#admit('useless', 'frames of unknown types');
    }
  }

  #require(type: number): void {
    if (!this.#settingsReceived && type !== FRAME.settings) {
      throw new H2ConnectionError(H2.protocolError, 'the first frame is not SETTINGS');
    }
    if (this.#block.unfinished !== 0 && type !== FRAME.continuation) {
      throw new H2ConnectionError(H2.protocolError, 'a frame within a header block');
    }
  }

  #onBlock(complete: CompleteBlock | undefined): void {
    if (!complete) return;
    const { streamId, endStream, block } = complete;
    const { fields, tooLarge } = this.#decoder.decode(block);
    const stream = this.#host.streams.get(streamId);
    if (stream) {
      this.#onStreamHeaders(stream, fields, tooLarge, endStream);
      return;
    }
    if (this.#host.wasOpened(streamId)) {
      if (this.#host.wasResetByUs(streamId)) return;
      throw new H2ConnectionError(H2.streamClosed, 'HEADERS on a closed stream');
    }
    if (this.#host.role === 'client' || streamId % 2 === 0) {
      throw new H2ConnectionError(H2.protocolError, `the peer may not open stream ${streamId}`);
    }
    const problem = tooLarge ? undefined : requestProblem(fields, this.#host.extendedConnect);
    const request = tooLarge ? 'too-large' : problem === undefined ? fields : 'malformed';
    if (this.#host.openByPeer(streamId, request, endStream)) return;
    this.#admit('useless', problem === undefined ? 'requests that are refused' : 'malformed requests');
    if (problem === undefined) return;
    this.#host.refuse(streamId, H2.protocolError);
    this.#host.malformed(problem);
  }

  #onStreamHeaders(stream: H2Stream, fields: HeaderFields, tooLarge: boolean, endStream: boolean): void {
    if (stream.remoteEnded) {
      this.#breach(stream, H2.streamClosed);
      return;
    }
    const isResponse = this.#host.role === 'client' && !stream.answered;
    const problem = isResponse ? responseProblem(fields) : trailersProblem(fields);
    if (tooLarge || problem !== undefined || (!isResponse && !endStream)) {
      this.#breach(stream, tooLarge ? H2.enhanceYourCalm : H2.protocolError);
      return;
    }
    if (isResponse) {
      const informational = fieldValue(fields, ':status')?.startsWith('1') === true;
      if (informational && endStream) {
        this.#breach(stream, H2.protocolError);
        return;
      }
      if (informational) {
        this.#admit('useless', 'informational responses');
        stream.handler.onInformational?.(stream, fields);
        return;
      }
      stream.answered = true;
    }
    stream.handler.onHeaders(stream, fields, endStream);
    if (endStream && !stream.closed) this.#host.remoteEnded(stream);
  }

  #onRstStream(streamId: number, payload: Buffer): void {
    if (payload.length !== 4)
      throw new H2ConnectionError(H2.frameSizeError, 'RST_STREAM is not 4 bytes long');
    const stream = this.#host.streams.get(streamId);
    if (!stream) {
      if (streamId === 0 || !this.#host.wasOpened(streamId)) {
        throw new H2ConnectionError(H2.protocolError, 'RST_STREAM on an idle stream');
      }
      return;
    }
    this.countReset(stream);
    this.#host.resetByPeer(stream, new StreamResetError(payload.readUInt32BE(0), 'peer'));
  }

  #onSettings(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new H2ConnectionError(H2.protocolError, 'SETTINGS on a stream');
    if (flags & FLAG.ack) {
      if (payload.length > 0)
        throw new H2ConnectionError(H2.frameSizeError, 'SETTINGS acknowledgement with payload');
      if (!this.#settingsReceived)
        throw new H2ConnectionError(H2.protocolError, 'acknowledgement before SETTINGS');
      this.#host.windows.acknowledged(this.#host.streams.values());
      return;
    }
    this.#admit('settings', 'SETTINGS frames');
    this.#settingsReceived = true;
    this.#host.applySettings(payload);
  }

  #onPing(flags: number, streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new H2ConnectionError(H2.protocolError, 'PING on a stream');
    if (payload.length !== 8) throw new H2ConnectionError(H2.frameSizeError, 'PING is not 8 bytes long');
    const isPong = (flags & FLAG.ack) !== 0;
    if (!isPong) this.#admit('ping', 'PING frames');
    this.#host.ping(payload, isPong);
  }

  #onGoaway(streamId: number, payload: Buffer): void {
    if (streamId !== 0) throw new H2ConnectionError(H2.protocolError, 'GOAWAY on a stream');
    if (payload.length < 8) throw new H2ConnectionError(H2.frameSizeError, 'GOAWAY too short');
    this.#admit('useless', 'GOAWAY frames');
    this.#host.goaway(payload.readUInt32BE(0) & 0x7fff_ffff, payload.readUInt32BE(4));
  }

  #onWindowUpdate(streamId: number, payload: Buffer): void {
    if (payload.length !== 4)
      throw new H2ConnectionError(H2.frameSizeError, 'WINDOW_UPDATE is not 4 bytes long');
    const bytes = payload.readUInt32BE(0) & 0x7fff_ffff;
    const stream = this.#host.streams.get(streamId);
    if (streamId === 0) {
      if (bytes === 0) throw new H2ConnectionError(H2.protocolError, 'WINDOW_UPDATE of 0');
      this.#host.widen(undefined, bytes);
      return;
    }
    if (!stream) {
      if (!this.#host.wasOpened(streamId)) {
        throw new H2ConnectionError(H2.protocolError, 'WINDOW_UPDATE on an idle stream');
      }
      return;
    }
    if (bytes === 0) {
      this.#breach(stream, H2.protocolError);
      return;
    }
    try {
      this.#host.widen(stream, bytes);
    } catch (error) {
      this.#streamError(stream, error);
    }
  }

  #onPriority(streamId: number, payload: Buffer): void {
    if (streamId === 0) throw new H2ConnectionError(H2.protocolError, 'PRIORITY on stream 0');
    if (payload.length !== 5) throw new H2ConnectionError(H2.frameSizeError, 'PRIORITY is not 5 bytes long');
    if ((payload.readUInt32BE(0) & 0x7fff_ffff) === streamId) {
      throw new H2ConnectionError(H2.protocolError, 'stream depends on itself');
    }
    this.#admit('useless', 'PRIORITY frames');
  }

  /** DATA for a stream that is over: in silence if we reset it and the peer may not know yet. */
  #late(streamId: number): void {
    if (this.#host.wasResetByUs(streamId)) return;
    this.#admit('useless', 'frames for streams that are over');
    this.#host.refuse(streamId, H2.streamClosed);
  }

  #streamError(stream: H2Stream, error: unknown): void {
    if (!(error instanceof H2StreamError)) throw error;
    this.#breach(stream, error.h2Code);
  }

  /** The peer broke a rule on this stream. */
  #breach(stream: H2Stream, h2Code: number): void {
    this.countReset(stream);
    this.#host.reset(stream, h2Code, true);
  }

  #admit(kind: keyof Guards, what: string): void {
    if (this.#guards[kind].admits()) return;
    throw new H2ConnectionError(H2.enhanceYourCalm, `too many ${what}`);
  }
}

/** Why a peer's GOAWAY came, for logs. */
export function goawayReason(h2Code: number): string {
  return `the peer said GOAWAY (${h2CodeName(h2Code)})`;
}
