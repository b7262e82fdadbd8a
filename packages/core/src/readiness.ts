/** Whether a proxy may be sent traffic: what it still waits for, by name, as `/healthz/ready` tells it. */
import type { HttpRequest, HttpResponse } from './http-server.ts';

/** @typeParam Task - What may be waited for, in Istio's words where it has one. */
export class Readiness<Task extends string> {
  readonly #pending = new Set<Task>();

  /** Not ready until this is done, again and again if need be. */
  block(task: Task): void {
    this.#pending.add(task);
  }

  done(task: Task): void {
    this.#pending.delete(task);
  }

  set(task: Task, ready: boolean): void {
    if (ready) this.done(task);
    else this.block(task);
  }

  get pending(): readonly Task[] {
    return [...this.#pending].sort();
  }
}

export function readinessHandler(
  readiness: Readiness<string>,
): (request: Pick<HttpRequest, 'method' | 'path'>) => HttpResponse {
  return ({ method, path }) => {
    if (path !== '/healthz/ready') return { status: 404, body: 'Not Found\n' };
    if (method !== 'GET' && method !== 'HEAD')
      return { status: 405, body: 'Invalid HTTP method, GET required\n' };
    const { pending } = readiness;
    if (pending.length === 0) return { status: 200, body: 'ready\n' };
    return { status: 500, body: `not ready, pending: ${pending.join(', ')}\n` };
  };
}
