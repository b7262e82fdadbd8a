/**
 * What a connection needs of the bytes below it.
 *
 * No event comes from within a call: a writer need not fear to be called before `write` returns.
 *
 * Buffers: bytes handed to `write` are the caller's again when it returns, unless the transport `lends`. Bytes handed to
 * `onBytes` are valid during that call, unless the receiver calls `keep` within it: then their memory is the receiver's
 * for good, and the transport reads into fresh memory from then on.
 */
export interface Transport {
  /** Nothing written before is still waiting: `write` may be called. */
  readonly idle: boolean;
  /** Written bytes must stay untouched until the transport is idle again. */
  readonly lends: boolean;
  /** @remarks Only while `idle`. */
  write(bytes: Uint8Array): void;
  /** @throws {@link Error} The transport reads into memory that it shares. */
  keep(): void;
  /** The receiver is done with this many bytes of `onBytes`; a transport that has too many to hear of reads no more. */
  credit(bytes: number): void;
  /** Sends what was written, then no more; the connection is gone when the peer has ended too, or at once. Idempotent. */
  end(): void;
  /**
   * After {@link end}, when all of it is out: hears no more of a peer that does not end its side. Nothing that was sent is
   * taken back, however slowly the peer reads. Idempotent; `onClosed` follows.
   */
  leave(): void;
  /** Cuts the connection now, so that the peer sees an error if it can. Idempotent; `onClosed` follows. */
  destroy(): void;
  /** Begins to deliver; called again, hands the connection over: later events go to the new receiver alone. */
  start(events: TransportEvents): void;
  /** Peer's address as `ip:port`, for logs. */
  readonly peer: string;
  /**
   * Our end of the TCP connection below as `ip:port`, for logs; empty where there is none. Found when it is first asked for,
   * so ask while the connection is there.
   */
  readonly localAddress: string;
}

export interface TransportEvents {
  onBytes(bytes: Buffer): void;
  onIdle(): void;
  /** The peer will send no more. Whoever does not want to know has the transport end as well. */
  onEnd?(): void;
  /** Exactly once, the last event: the connection is gone, with the reason if it was not an orderly end. */
  onClosed(error: Error | undefined): void;
}

/** Bytes that a receiver may have without credit before a transport that can stop reading does so. */
export const UNCREDITED_BYTES = 128 * 1024;
