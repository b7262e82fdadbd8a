/**
 * What a session needs of the connection below it.
 *
 * Buffers: bytes handed to `write` are the caller's again when it returns. Bytes handed to `onBytes` are valid during
 * that call, unless the receiver calls `keep` within it: then their memory is the receiver's for good, and the
 * transport reads into fresh memory from then on.
 */
export interface Transport {
  /** Nothing written before is still waiting: `write` may be called. */
  readonly idle: boolean;
  /** @remarks Only while `idle`. */
  write(bytes: Uint8Array): void;
  keep(): void;
  /** Sends what was written, then ends. Idempotent. */
  end(): void;
  /** Cuts the connection now. Idempotent; `onClosed` follows. */
  destroy(): void;
  /** Begins to deliver; called once. */
  start(events: TransportEvents): void;
  /** Peer's address as `ip:port`, for logs. */
  readonly peer: string;
}

export interface TransportEvents {
  onBytes(bytes: Buffer): void;
  onIdle(): void;
  /** Exactly once, the last event: the connection is gone, with the reason if it was not an orderly end. */
  onClosed(error: Error | undefined): void;
}
