/** What every request of this process shares: decisions, destinations, reports, bounds. */
import type { Clock, Random } from '@ambit/core/clock';
import type { Deadlines } from '@ambit/http/deadlines';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { QueueBudget } from '@ambit/hbone/queue-budget';
import type { hashOf } from '../decide/balance/hash-key.ts';
import type { decideRetry } from '../decide/retry.ts';
import type { Snapshot } from '../resources/snapshot.ts';
import type { WaypointSecurity } from '../security/security.ts';
import type { WaypointTelemetry } from '../telemetry/telemetry.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import type { Admission } from './admission.ts';
import type { FaultReport } from './fault-report.ts';
import type { PolicyReport } from './policy-report.ts';

/** Pure decisions that tests, and what stands in for them, replace. */
export interface Decisions {
  readonly hashOf: typeof hashOf;
  readonly decideRetry: typeof decideRetry;
}

/** Who is told of requests and connections. */
export type Reporter = Pick<WaypointTelemetry, 'begin' | 'ended' | 'connectionBegan'>;

export interface ExchangeContext {
  readonly snapshot: () => Snapshot;
  readonly decisions: Decisions;
  /** What waits for others: keys of token issuers, services that authorize. */
  readonly security: WaypointSecurity;
  readonly reporter: Reporter;
  readonly policyReport: PolicyReport;
  readonly faults: FaultReport;
  readonly upstreams: Upstreams;
  readonly admission: Admission;
  readonly budget: QueueBudget;
  readonly clock: Clock;
  readonly random: Random;
  readonly deadlines: Deadlines;
  /** What applications are told of a client beside what it says itself: `x-forwarded-client-cert`, or nothing. */
  readonly clientFields: (identity: string | undefined) => HeaderFields;
  readonly retryBodyBytes: number;
  /** A request on which nothing moves for so long is ended. 0: never. */
  readonly streamIdleMs: number;
}
