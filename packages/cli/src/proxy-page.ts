/** A page that a pod answers on its loopback alone, by a forwarded port: of a ztunnel, a waypoint, or the control plane. */
import type { Duplex } from 'node:stream';
import type { Clock } from '@ambit/core/clock';
import type { PodPort } from '@ambit/kube/port-forward';
import { askAdminJson } from './admin.ts';
import { ProxyError } from './errors.ts';
import { ADMIN_TIMEOUT_MS } from './limits.ts';

const ADMIN_PORT = 15_000;

/** A port of a pod's loopback, as a stream. */
export type PodDialer = (to: PodPort, signal: AbortSignal) => Promise<Duplex>;

export interface Asking {
  readonly dial: PodDialer;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * JSON of a page; `undefined` if there is no such page.
 *
 * @param kind - For messages: `ztunnel`.
 * @throws {@link ProxyError} if there is no whole answer in time.
 */
export async function proxyPage(
  { dial, clock, signal: until }: Asking,
  kind: string,
  { namespace, name, port = ADMIN_PORT }: Omit<PodPort, 'port'> & { readonly port?: number },
  path: string,
): Promise<unknown> {
  const abort = new AbortController();
  const timer = clock.after(ADMIN_TIMEOUT_MS, () =>
    abort.abort(new ProxyError(`no answer within ${ADMIN_TIMEOUT_MS / 1_000} s`)),
  );
  const signal = AbortSignal.any([until, abort.signal]);
  try {
    const admin = (stop: AbortSignal) => dial({ namespace, name, port }, stop);
    return await askAdminJson(`${kind} ${namespace}/${name}`, admin, path, signal);
  } finally {
    timer.cancel();
  }
}
