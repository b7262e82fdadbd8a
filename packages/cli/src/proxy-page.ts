/** A page of a proxy's loopback admin port, by a forwarded port: of a ztunnel, or of a waypoint. */
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
 * JSON of an admin page; `undefined` if this proxy has no such page.
 *
 * @param kind - For messages: `ztunnel`.
 * @throws {@link ProxyError} if there is no whole answer in time.
 */
export async function proxyPage(
  { dial, clock, signal: until }: Asking,
  kind: string,
  { namespace, name }: { readonly namespace: string; readonly name: string },
  path: string,
): Promise<unknown> {
  const abort = new AbortController();
  const timer = clock.after(ADMIN_TIMEOUT_MS, () =>
    abort.abort(new ProxyError(`no answer within ${ADMIN_TIMEOUT_MS / 1_000} s`)),
  );
  const signal = AbortSignal.any([until, abort.signal]);
  try {
    const admin = (stop: AbortSignal) => dial({ namespace, name, port: ADMIN_PORT }, stop);
    return await askAdminJson(`${kind} ${namespace}/${name}`, admin, path, signal);
  } finally {
    timer.cancel();
  }
}
