/** How an endpoint is asked for its health: a request, a gRPC health check, or a connection. */
import type { Clock } from '@ambit/core/clock';
import { fieldValue } from '@ambit/http/header-fields';
import { askEndpoint } from './ask-endpoint.ts';
import type { Connector } from './connector.ts';
import type { Probe } from './health-checks.ts';
import type { UpstreamSettings } from './settings.ts';

/** `grpc.health.v1.HealthCheckRequest` for the whole server: an empty message behind its prefix. */
const WHOLE_SERVER = new Uint8Array(5);
/** `HealthCheckResponse` with `status = SERVING`. */
const SERVING = Buffer.from([0, 0, 0, 0, 2, 8, 1]);

const MAX_ANSWER_BYTES = 1_024;

export interface ProbeDeps {
  readonly connector: Connector;
  readonly clock: Clock;
  readonly settings: UpstreamSettings;
  readonly hostname: string;
}

export function probeOf({ connector, clock, settings, hostname }: ProbeDeps): Probe {
  return async (endpoint, { kind, path, timeoutMs }, signal) => {
    const late = new AbortController();
    const timer = clock.after(timeoutMs, () => late.abort(new Error('too late')));
    const stop = AbortSignal.any([signal, late.signal]);
    try {
      if (kind === 'tcp') return await connects(connector, endpoint, settings, stop);
      const isGrpc = kind === 'grpc';
      const answer = await askEndpoint(
        endpoint,
        {
          version: isGrpc ? '2' : '1.1',
          method: isGrpc ? 'POST' : 'GET',
          authority: hostname,
          path: isGrpc ? '/grpc.health.v1.Health/Check' : path,
          fields: isGrpc
            ? ['content-type', 'application/grpc', 'te', 'trailers']
            : ['user-agent', 'ambit-waypoint/health'],
          body: isGrpc ? WHOLE_SERVER : new Uint8Array(0),
          maxBytes: MAX_ANSWER_BYTES,
        },
        stop,
      );
      if (!isGrpc) return answer.status === 200;
      const status = fieldValue(answer.trailers ?? answer.fields, 'grpc-status');
      return status === '0' && SERVING.equals(answer.body);
    } catch {
      return false;
    } finally {
      timer.cancel();
    }
  };
}

function connects(
  connector: Connector,
  endpoint: Parameters<Connector['transport']>[0],
  settings: UpstreamSettings,
  signal: AbortSignal,
): Promise<boolean> {
  return new Promise((resolve) => {
    const attempt = connector.transport(
      endpoint,
      { hostname: undefined, settings, tls: undefined, preamble: undefined },
      {
        onTransport: (transport) => {
          transport.destroy();
          resolve(true);
        },
        onFailed: () => resolve(false),
      },
    );
    signal.addEventListener('abort', () => {
      attempt[Symbol.dispose]();
      resolve(false);
    });
  });
}
