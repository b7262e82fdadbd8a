/** What a suite and the application say to each other over the control port; JSON both ways. */

/** Milliseconds since the epoch. */
export interface Clock {
  readonly nowMs: number;
}

/** How a request is made; each kind has one port of the table in ports.ts. */
export type RequestKind = 'http' | 'http2' | 'grpc' | 'websocket' | 'tcp' | 'greeting';

export interface Target {
  readonly kind: RequestKind;
  /** A name or an address, as the application's own resolver understands it. */
  readonly host: string;
  readonly port: number;
  /** Of HTTP and HTTP/2. */
  readonly path?: string;
  /** Of HTTP and HTTP/2. Default GET. */
  readonly method?: string;
  /** Of HTTP and HTTP/2; names in lower case. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of HTTP/1.1: over TLS, with this name asked for. Whoever answers is believed. */
  readonly tlsName?: string;
}

/** What a server says of itself and of who asks. */
export interface Description {
  readonly pod: string;
  readonly namespace: string;
  readonly node: string;
  /** The client's address as the server's socket has it. */
  readonly source: string;
  readonly protocol: string;
  /** Of requests that have them. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Of HTTP: host and path as they came. */
  readonly authority?: string;
  readonly path?: string;
  /** Of HTTP: how often this pod was asked for that path, without its query, so far. */
  readonly timesAsked?: number;
  /** Of requests over TLS. */
  readonly tls?: TlsDescription;
}

export interface TlsDescription {
  /** That the client asked for; empty: none. */
  readonly serverName: string;
  /** Empty: nobody spoke of it. */
  readonly alpn: string;
  /** The common name that the client proved; empty: nothing. */
  readonly client: string;
}

export interface RequestOrder extends Target {
  readonly timeoutMs?: number;
  /** Of HTTP/1.1: whatever is answered goes well, and is told. */
  readonly wantsAnswer?: boolean;
}

/** The beginning of an answer. */
export interface AnswerHead {
  readonly status: number;
  /** Names in lower case; several of one name with commas between. */
  readonly headers: Readonly<Record<string, string>>;
}

export type RequestOutcome =
  | {
      readonly ok: true;
      readonly latencyMs: number;
      /** Unknown for `tcp`, which returns bytes alone. */
      readonly server?: Description;
      /** If it was wanted. */
      readonly answer?: AnswerHead;
    }
  | {
      readonly ok: false;
      readonly latencyMs: number;
      /** Code and message of the failure, in the application's own words. */
      readonly error: string;
    };

export interface LoadOrder extends Target {
  /** `new`: a connection for each request. A number: that many connections, held and used in turn. */
  readonly connections: 'new' | number;
  /** Of all connections together. */
  readonly requestsPerSecond: number;
  /** The load ends by itself after this; a suite may end it sooner. */
  readonly durationMs: number;
  readonly timeoutMs?: number;
}

export interface LoadError {
  /** After the load began. */
  readonly atMs: number;
  readonly error: string;
}

/** About a lost packet's worth: what no healthy request takes. */
export const SLOW_MS = 900;

export interface LoadReport {
  readonly running: boolean;
  readonly elapsedMs: number;
  readonly ok: number;
  readonly failed: number;
  /** Held connections that ended and were opened anew; one that ends during a request has failed besides. */
  readonly reopened: number;
  /** Requests on held connections that crossed a close of theirs, and were asked once more. */
  readonly crossed: number;
  /** The first few. */
  readonly errors: readonly LoadError[];
  /** Of requests that went well; 0 if none did. */
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Of the same requests on new connections, how long their steps took at the same quantiles, each by itself. */
  readonly stepsMs: Readonly<
    Record<'name' | 'connect' | 'answer', { readonly p50: number; readonly p99: number }>
  >;
  /** The first few requests that went well and took longer than {@link SLOW_MS}. */
  readonly slow: readonly { readonly atMs: number; readonly latencyMs: number }[];
  /** How long nothing was asked, since the process itself stood still. */
  readonly stoodStillMs: number;
  /** The longest time between two answers that went well. */
  readonly longestGapMs: number;
  /** How many answers each server gave; the first few names. */
  readonly servers: Readonly<Record<string, number>>;
}
