/** Whether this proxy may be sent traffic: what it still waits for, by name, as `/healthz/ready` tells it. */
import type { HttpRequest, HttpResponse } from '@ambit/core/http-server';

/** Istio's names. */
export type ReadinessTask = 'state manager' | 'proxy' | 'dns proxy' | 'workload proxy manager';

export class Readiness {
  readonly #pending = new Set<ReadinessTask>();

  /** Not ready until this is done, again and again if need be. */
  block(task: ReadinessTask): void {
    this.#pending.add(task);
  }

  done(task: ReadinessTask): void {
    this.#pending.delete(task);
  }

  set(task: ReadinessTask, ready: boolean): void {
    if (ready) this.done(task);
    else this.block(task);
  }

  get pending(): readonly ReadinessTask[] {
    return [...this.#pending].sort();
  }
}

export function readinessHandler(readiness: Readiness): (request: HttpRequest) => HttpResponse {
  return ({ method, path }) => {
    if (path !== '/healthz/ready') return { status: 404, body: 'Not Found\n' };
    if (method !== 'GET' && method !== 'HEAD')
      return { status: 405, body: 'Invalid HTTP method, GET required\n' };
    const { pending } = readiness;
    if (pending.length === 0) return { status: 200, body: 'ready\n' };
    return { status: 500, body: `not ready, pending: ${pending.join(', ')}\n` };
  };
}
