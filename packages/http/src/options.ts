/** What connections are told when they are made; every bound has its default in limits.ts. */
import { DEFAULT_SESSION_OPTIONS, type SessionOptions } from './h2/session.ts';
import type { Deadlines } from './deadlines.ts';
import type { HeldBudget } from './held-bytes.ts';
import * as limits from './limits.ts';

export interface Http1Options {
  readonly deadlines: Deadlines;
  /** Bounds what is held for peers that do not read (see held-bytes.ts). */
  readonly budget?: HeldBudget;
  readonly maxLineBytes: number;
  readonly maxHeadBytes: number;
  readonly maxFields: number;
  /** From the first octet of a request's head to its last: then 408. */
  readonly headerTimeoutMs: number;
  /** Between exchanges: then the connection ends. */
  readonly idleTimeoutMs: number;
}

export const DEFAULT_HTTP1_OPTIONS: Omit<Http1Options, 'deadlines'> = {
  maxLineBytes: limits.REQUEST_LINE_BYTES,
  maxHeadBytes: limits.HEAD_BYTES,
  maxFields: limits.HEAD_FIELDS,
  headerTimeoutMs: limits.HEADER_TIMEOUT_MS,
  idleTimeoutMs: limits.IDLE_TIMEOUT_MS,
};

export interface Http1ServerOptions extends Http1Options {
  /** How clients came here; HTTP/1.1 does not say. */
  readonly scheme: 'http' | 'https';
  /**
   * What a client means that ends its side while it waits for an answer. Most have gone away (`abort`, as Envoy and
   * nginx have it); some only say that they ask nothing more (`answer`).
   */
  readonly halfClose: 'abort' | 'answer';
}

export const DEFAULT_HTTP1_SERVER_OPTIONS: Omit<Http1ServerOptions, 'deadlines'> = {
  ...DEFAULT_HTTP1_OPTIONS,
  scheme: 'http',
  halfClose: 'abort',
};

export interface Http2Options extends SessionOptions {
  readonly deadlines: Deadlines;
  /** As for HTTP/1.1. */
  readonly budget?: HeldBudget;
  /** Without a stream: then the connection ends. */
  readonly idleTimeoutMs: number;
}

export const DEFAULT_HTTP2_OPTIONS: Omit<Http2Options, 'deadlines' | 'clock'> = {
  ...DEFAULT_SESSION_OPTIONS,
  streamWindowBytes: limits.HTTP_STREAM_WINDOW_BYTES,
  connectionWindowBytes: limits.HTTP_CONNECTION_WINDOW_BYTES,
  maxFrameBytes: limits.HTTP_FRAME_BYTES,
  headerListBytes: limits.HEAD_BYTES,
  extendedConnect: true,
  takesEarlyData: false,
  earlyDataBytes: 0,
  idleTimeoutMs: limits.IDLE_TIMEOUT_MS,
};

export interface Http2ClientOptions extends Http2Options {
  /** Exchanges at a time, if the server allows as many. */
  readonly maxExchanges: number;
}

export const DEFAULT_HTTP2_CLIENT_OPTIONS: Omit<Http2ClientOptions, 'deadlines' | 'clock'> = {
  ...DEFAULT_HTTP2_OPTIONS,
  maxExchanges: limits.EXCHANGES_PER_CONNECTION,
};
