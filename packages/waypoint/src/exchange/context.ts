/** What every request of this process shares: decisions, destinations, reports, bounds. */
import type { Clock, Random } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { HeaderFields } from '@ambit/http/header-fields';
import type { QueueBudget } from '@ambit/hbone/queue-budget';
import type { AuthorizationSubject } from '../decide/authorization-facts.ts';
import type { hashOf } from '../decide/balance/hash-key.ts';
import type { decideRetry } from '../decide/retry.ts';
import type { RequestView, TokenClaims } from '../decide/request-view.ts';
import type { ExternalCheck } from '../decide/verdict.ts';
import type { RequestAuthentication } from '../resources/request-authentication.ts';
import type { Snapshot } from '../resources/snapshot.ts';
import type { WaypointTelemetry } from '../telemetry/telemetry.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import type { Admission } from './admission.ts';

/** Pure decisions that tests, and what stands in for them, replace. */
export interface Decisions {
  readonly hashOf: typeof hashOf;
  readonly decideRetry: typeof decideRetry;
}

/** Changes to a request that security makes: fields removed, then fields set. */
export interface FieldChanges {
  readonly remove: readonly string[];
  readonly set: HeaderFields;
}

export type Authentication =
  | { readonly kind: 'ok'; readonly token: TokenClaims | undefined; readonly changes: FieldChanges }
  /** A token that is not believed. */
  | {
      readonly kind: 'refuse';
      readonly status: number;
      readonly reason: string;
      readonly fields: HeaderFields;
    };

export type ExternalVerdict =
  | {
      readonly kind: 'allow';
      readonly changes: FieldChanges;
      /** For the client, with whatever is answered. */
      readonly responseFields: HeaderFields;
    }
  | {
      readonly kind: 'deny';
      readonly status: number;
      readonly fields: HeaderFields;
      readonly body: Uint8Array;
      /** Nobody answered: Envoy's `UAEX` with another word. */
      readonly failed: boolean;
    };

/** What waits for others: keys of token issuers, services that authorize. */
export interface Security {
  authenticate(
    rules: readonly RequestAuthentication[],
    request: RequestView,
    signal: AbortSignal,
  ): Authentication | Promise<Authentication>;
  /** Asks one provider. Whatever goes wrong is a verdict: nothing is thrown. */
  check(check: ExternalCheck, subject: AuthorizationSubject, signal: AbortSignal): Promise<ExternalVerdict>;
}

/** Who is told of requests and connections. */
export type Reporter = Pick<WaypointTelemetry, 'begin' | 'ended' | 'connectionBegan'>;

export interface ExchangeContext {
  readonly snapshot: () => Snapshot;
  readonly decisions: Decisions;
  readonly security: Security;
  readonly reporter: Reporter;
  readonly upstreams: Upstreams;
  readonly admission: Admission;
  readonly budget: QueueBudget;
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly retryBodyBytes: number;
}
