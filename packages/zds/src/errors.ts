/** What can go wrong between node agent and ztunnel. */
import { MeshError } from '@ambit/core/errors';

/** The peer sent something that the protocol does not have, or not at this moment. */
export class ZdsProtocolError extends MeshError {
  readonly code = 'ZDS_PROTOCOL';
  readonly side = 'internal';
}

/** No ztunnel is connected, so nobody can be told; try again when there is one. */
export class NoZtunnelError extends MeshError {
  readonly code = 'ZDS_NO_ZTUNNEL';
  readonly side = 'internal';
  override readonly retryable = true;

  constructor(path: string) {
    super(`no ztunnel is connected to ${path} (is the ztunnel pod of this node running?)`);
  }
}

/**
 * ztunnel understood and could not do it. What keeps the pod from being served it tries again by itself; one that is served
 * and waits outside must be asked about again.
 */
export class NackError extends MeshError {
  readonly code = 'ZDS_NACK';
  readonly side = 'internal';
  override readonly retryable = true;
  /** ztunnel's own words. */
  readonly reason: string;

  constructor(uid: string, reason: string) {
    super(`ztunnel refused pod ${uid}: ${reason}`);
    this.reason = reason;
  }
}

/** The connection ended, or ztunnel did not answer in time, with this update not known to have arrived. */
export class ZdsConnectionError extends MeshError {
  readonly code = 'ZDS_CONNECTION';
  readonly side = 'internal';
  override readonly retryable = true;
}
