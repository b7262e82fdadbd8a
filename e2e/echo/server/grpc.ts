/**
 * gRPC: `ambit.e2e.Echo` (one message, or a stream each way), `grpc.health.v1.Health`, which the kubelet asks, and an
 * authorizer.
 *
 * Messages of the echo service are JSON text; the health service's are the few protobuf bytes that it needs.
 */
import { type Metadata, Server, ServerCredentials, type ServiceDefinition } from '@grpc/grpc-js';
import { describe, type Self } from '../about.ts';
import { AUTHORIZER_SERVICE, authorizer } from './authorizer.ts';
import { ECHO_SERVICE, type EchoHandlers } from '../grpc-service.ts';
import type { Lifecycle } from '../lifecycle.ts';
import type { Description } from '../messages.ts';

/** HealthCheckResponse{status: SERVING} and {status: NOT_SERVING}. */
const SERVING = Buffer.from([0x08, 0x01]);
const NOT_SERVING = Buffer.from([0x08, 0x02]);

const bytes = (value: Buffer) => value;

const HEALTH_SERVICE = {
  Check: {
    path: '/grpc.health.v1.Health/Check',
    requestStream: false,
    responseStream: false,
    requestSerialize: bytes,
    requestDeserialize: bytes,
    responseSerialize: bytes,
    responseDeserialize: bytes,
  },
} as const satisfies ServiceDefinition;

export async function serveGrpc(self: Self, lifecycle: Lifecycle, port: number): Promise<Server> {
  const server = new Server();
  const handlers: EchoHandlers = {
    Unary: (call, done) => done(null, described(self, call)),
    Stream: (call) => {
      call.on('data', () => call.write(described(self, call)));
      call.on('end', () => call.end());
      call.on('error', () => call.end());
    },
  };
  server.addService(ECHO_SERVICE, handlers);
  server.addService(AUTHORIZER_SERVICE, authorizer(self.pod));
  server.addService(HEALTH_SERVICE, {
    Check: (_call: unknown, done: (error: null, answer: Buffer) => void) =>
      done(null, lifecycle.draining ? NOT_SERVING : SERVING),
  });
  await new Promise<void>((resolve, reject) => {
    server.bindAsync(`[::]:${port}`, ServerCredentials.createInsecure(), (error) =>
      error ? reject(error) : resolve(),
    );
  });
  lifecycle.onEnd(async () => {
    await new Promise<void>((resolve) => {
      server.tryShutdown(() => resolve());
    });
  });
  return server;
}

/** What of a call tells who asks, and how. */
interface Asked {
  readonly metadata: Metadata;
  getPeer(): string;
}

function described(self: Self, call: Asked): Description {
  const headers = Object.entries(call.metadata.getMap()).map(([name, value]) => [name, String(value)]);
  return {
    ...describe(self, addressOf(call.getPeer()), 'gRPC'),
    headers: Object.fromEntries(headers) as Record<string, string>,
  };
}

/** gRPC's `1.2.3.4:5` or `[::1]:5` without the port. */
function addressOf(peer: string): string {
  return peer.replace(/:\d+$/, '').replace(/^\[|\]$/g, '');
}
