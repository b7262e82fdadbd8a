/** What every pod and connection of a worker shares. */
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { SessionOptions } from '@ambit/http/h2/session';
import type { QueueBudget } from '@ambit/hbone/queue-budget';
import type { Revocations } from '@ambit/identity/revocation-list';
import type { TlsSettings } from '@ambit/identity/tls-context';
import type { RouteOptions } from '@ambit/model/decide/route';
import type { MeshStore } from '@ambit/model/store';
import type { WorkerOptions } from '../threads/worker-options.ts';
import type { AccessOutput } from './access-output.ts';
import type { BulkDestinations } from './bulk-destinations.ts';
import type { WorkerCertificates } from './certificates.ts';
import type { Demands } from './demands.ts';
import type { EventCounters } from './event-counters.ts';
import type { MeshWaits } from '@ambit/model/mesh-waits';
import type { Names } from '@ambit/core/names';
import type { TrafficCounters } from './traffic-counters.ts';

export interface WorkerContext {
  readonly options: WorkerOptions;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  /** For verdicts of policies. */
  readonly verdictLog: Logger;
  readonly mesh: MeshStore;
  readonly meshWaits: MeshWaits;
  /** Of connections that may lead elsewhere by now: apart, since they could go without, and others could not. */
  readonly doubts: MeshWaits;
  readonly demands: Demands;
  readonly names: Names;
  readonly certificates: WorkerCertificates;
  readonly revocations: Revocations;
  readonly counters: TrafficCounters;
  readonly events: EventCounters;
  readonly accessLog: AccessOutput;
  readonly bulk: BulkDestinations;
  /** Of all pods on this worker. */
  readonly budget: QueueBudget;
  readonly session: SessionOptions;
  readonly tls: TlsSettings;
  readonly route: RouteOptions;
}
