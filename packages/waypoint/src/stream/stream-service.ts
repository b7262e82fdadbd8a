/** Connections of clients that are no HTTP, as many as are open. */
import type { Clock, Random } from '@ambit/core/clock';
import type { QueueBudget } from '@ambit/hbone/queue-budget';
import type { Reporter } from '../exchange/context.ts';
import type { Downstream } from '../exchange/downstream.ts';
import type { FaultReport } from '../exchange/fault-report.ts';
import type { PolicyReport } from '../exchange/policy-report.ts';
import type { Carried } from '../inbound/context.ts';
import type { StreamService } from '../inbound/inbound.ts';
import type { Snapshot } from '../resources/snapshot.ts';
import type { ResourceStore } from '../resources/store.ts';
import type { WaypointSecurity } from '../security/security.ts';
import type { Upstreams } from '../upstream/upstreams.ts';
import { CarriedStream } from './carried-stream.ts';

export interface StreamContext {
  readonly snapshot: () => Snapshot;
  readonly security: WaypointSecurity;
  readonly upstreams: Upstreams;
  readonly budget: QueueBudget;
  readonly reporter: Reporter;
  readonly policyReport: PolicyReport;
  readonly faults: FaultReport;
  readonly clock: Clock;
  readonly random: Random;
}

export class ByteStreams implements StreamService, Disposable {
  readonly #context: StreamContext;
  readonly #open = new Set<CarriedStream>();
  readonly #changes: Disposable;
  #whenEmpty: (() => void) | undefined;

  /** @param changes - Of policies: what is open is decided again with each. */
  constructor(context: StreamContext, changes: ResourceStore['changes']) {
    this.#context = context;
    this.#changes = changes.subscribe(({ kinds }) => {
      if (!kinds.has('AuthorizationPolicy') && !kinds.has('MeshSettings')) return;
      for (const stream of [...this.#open]) stream.authorizeAgain();
    });
  }

  get openConnections(): number {
    return this.#open.size;
  }

  serve(downstream: Downstream, carried: Carried): void {
    const stream = new CarriedStream(this.#context, downstream, carried, () => {
      this.#open.delete(stream);
      if (this.#open.size === 0) this.#whenEmpty?.();
    });
    this.#open.add(stream);
    stream.start();
  }

  empty(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenEmpty = resolve;
      if (this.#open.size === 0) resolve();
    });
  }

  endIdle(): void {
    for (const stream of [...this.#open]) if (stream.isAtRest) stream.cut('draining');
  }

  destroy(): void {
    for (const stream of [...this.#open]) stream.cut('draining');
  }

  [Symbol.dispose](): void {
    this.#changes[Symbol.dispose]();
    this.destroy();
  }
}
