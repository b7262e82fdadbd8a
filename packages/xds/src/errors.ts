/** What goes wrong between a client and a control plane. */
import { MeshError } from '@ambit/core/errors';

/** The client asked for more than it may. Its stream ends with RESOURCE_EXHAUSTED. */
export class ClientLimitError extends MeshError {
  readonly code = 'XDS_CLIENT_LIMIT';
  readonly side = 'downstream';

  constructor(what: string, limit: number) {
    super(`${what}: at most ${limit}`);
  }
}

/** What a client waits for cannot come: it is shutting down, or waits for too much. */
export class DemandError extends MeshError {
  readonly code = 'XDS_DEMAND';
  readonly side = 'internal';
}
