/** What can go wrong on an HTTP connection. The codes label logs and metrics and never change meaning. */
import { MeshError } from '@ambit/core/errors';
import { H2, h2CodeName } from './h2/protocol.ts';

/** A header block that is not valid HPACK: always the end of its connection. */
export class HpackError extends MeshError {
  readonly code = 'HPACK';
  readonly side = 'downstream';

  constructor(message: string) {
    super(`invalid header block: ${message}`);
  }
}

/** The peer broke HTTP/2, or a limit of ours: the whole connection ends with GOAWAY. */
export class H2ConnectionError extends MeshError {
  readonly code = 'H2_CONNECTION';
  readonly side = 'downstream';
  readonly h2Code: number;

  constructor(h2Code: number, message: string, options?: ErrorOptions) {
    super(`${h2CodeName(h2Code)}: ${message}`, options);
    this.h2Code = h2Code;
  }
}

/** One stream broke a rule: it alone is reset. */
export class H2StreamError extends MeshError {
  readonly code = 'H2_STREAM';
  readonly side = 'downstream';
  readonly h2Code: number;

  constructor(h2Code: number, message: string) {
    super(`${h2CodeName(h2Code)}: ${message}`);
    this.h2Code = h2Code;
  }
}

/** The stream ended before both sides had finished with it. */
export class StreamResetError extends MeshError {
  readonly code = 'STREAM_RESET';
  readonly side = 'upstream';
  readonly h2Code: number;
  readonly by: 'peer' | 'us' | 'connection';

  constructor(h2Code: number, by: 'peer' | 'us' | 'connection', options?: ErrorOptions) {
    const who =
      by === 'peer' ? 'the peer reset the stream' : by === 'us' ? 'stream reset' : 'the connection broke';
    super(`${who}: ${h2CodeName(h2Code)}`, options);
    this.h2Code = h2Code;
    this.by = by;
  }

  /** An end that the peer meant: read as end of data (NO_ERROR and CANCEL). */
  get isClean(): boolean {
    return this.h2Code === H2.noError || this.h2Code === H2.cancel;
  }
}

/** An HTTP/2 connection ended, or will take no more streams. No byte of this stream was sent. */
export class H2ClosedError extends MeshError {
  readonly code: string = 'H2_CLOSED';
  readonly side = 'upstream';
  override readonly retryable = true;

  constructor(reason: string, options?: ErrorOptions) {
    super(`connection closed: ${reason}`, options);
  }
}

/** Nothing comes from the peer any more: it did not answer a PING in time. */
export class H2SilentError extends H2ClosedError {
  override readonly code = 'H2_SILENT';

  constructor() {
    super('no answer to PING');
  }
}

/** What became of an exchange that did not end well. */
export type HttpErrorKind =
  /** The other side broke HTTP. */
  | 'protocol'
  /** A bound of ours was reached. */
  | 'limit'
  /** The other side was too slow. */
  | 'timeout'
  /** The other side reset this exchange alone. */
  | 'reset'
  /** The connection ended before the exchange did. */
  | 'closed'
  /** Certainly not processed: not sent at all, or the server said so. */
  | 'refused';

/** An exchange, or what should have become one, failed. */
export class HttpError extends MeshError {
  readonly code: `HTTP_${Uppercase<HttpErrorKind>}`;
  readonly side = 'downstream';
  readonly kind: HttpErrorKind;
  /** Which rule or bound, as a stable word for logs and metrics: `duplicate-host`. */
  readonly reason: string;
  /** What a server answers: 400, 408, 413, 414, 431, 501 or 505; 0 where no answer is possible. */
  readonly status: number;
  /** HTTP/2: the code of the reset. */
  readonly h2Code: number | undefined;
  /** The other side can have begun to act on the request. */
  readonly mayHaveReached: boolean;
  override readonly retryable: boolean;

  constructor(
    kind: HttpErrorKind,
    reason: string,
    options: ErrorOptions & { readonly status?: number; readonly h2Code?: number } = {},
  ) {
    super(`${WORDS[kind]}: ${reason}`, options);
    this.code = `HTTP_${kind.toUpperCase() as Uppercase<HttpErrorKind>}`;
    this.kind = kind;
    this.reason = reason;
    this.status = options.status ?? 0;
    this.h2Code = options.h2Code;
    this.mayHaveReached = kind !== 'refused';
    this.retryable = kind === 'refused';
  }
}

const WORDS: Readonly<Record<HttpErrorKind, string>> = {
  protocol: 'the peer broke HTTP',
  limit: 'a limit was reached',
  timeout: 'the peer was too slow',
  reset: 'the peer reset the stream',
  closed: 'the connection ended',
  refused: 'not processed',
};
