/** How an endpoint is asked for its health: a request, a gRPC health check, or a connection. */
import type { Clock } from '@ambit/core/clock';
import { GRPC_REQUEST_FIELDS, grpcField, grpcFrame } from '../grpc.ts';
import { askEndpoint } from './ask-endpoint.ts';
import type { TransportWaiter } from './connector.ts';
import type { UpstreamEndpoint } from './endpoint.ts';
import type { Probe } from './health-checks.ts';
import type { HttpVersion } from './http-pool.ts';

/** `grpc.health.v1.HealthCheckRequest` for the whole server: an empty message. */
const WHOLE_SERVER = grpcFrame(new Uint8Array(0));
/** `HealthCheckResponse` with `status = SERVING`. */
const SERVING = Buffer.from(grpcFrame(Uint8Array.of(8, 1)));

const MAX_ANSWER_BYTES = 1_024;

export interface ProbeDeps {
  /** A connection as requests have one; disposing of what is returned gives it up. */
  readonly connect: (endpoint: UpstreamEndpoint, waiter: TransportWaiter) => Disposable;
  readonly clock: Clock;
  readonly hostname: string;
  /** That a request of HTTP/1.1 would be sent in. */
  readonly version: () => HttpVersion;
}

export function probeOf({ connect, clock, hostname, version }: ProbeDeps): Probe {
  return async (endpoint, { kind, path, timeoutMs }, signal) => {
    const late = new AbortController();
    const timer = clock.after(timeoutMs, () => late.abort(new Error('too late')));
    const stop = AbortSignal.any([signal, late.signal]);
    try {
      if (kind === 'tcp') return await connects(connect, endpoint, stop);
      const isGrpc = kind === 'grpc';
      const answer = await askEndpoint(
        endpoint,
        {
          version: isGrpc ? '2' : version(),
          method: isGrpc ? 'POST' : 'GET',
          authority: hostname,
          path: isGrpc ? '/grpc.health.v1.Health/Check' : path,
          fields: isGrpc ? GRPC_REQUEST_FIELDS : ['user-agent', 'ambit-waypoint/health'],
          body: isGrpc ? WHOLE_SERVER : new Uint8Array(0),
          maxBytes: MAX_ANSWER_BYTES,
        },
        stop,
      );
      if (!isGrpc) return answer.status === 200;
      const status = grpcField(answer, 'grpc-status');
      return status === '0' && SERVING.equals(answer.body);
    } catch {
      return false;
    } finally {
      timer.cancel();
    }
  };
}

function connects(
  connect: ProbeDeps['connect'],
  endpoint: UpstreamEndpoint,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const attempt = connect(endpoint, {
      onTransport: (transport) => {
        transport.destroy();
        resolve(true);
      },
      onFailed: () => resolve(false),
    });
    signal.addEventListener('abort', () => {
      attempt[Symbol.dispose]();
      resolve(false);
    });
  });
}
