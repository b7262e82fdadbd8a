/** Where the application listens, and what for. Suites and manifests name ports by this table. */
export const PORTS = {
  /** HTTP/1.1, and WebSocket by upgrade. */
  http: 8080,
  /** HTTP/2 without TLS and without upgrade. */
  http2: 8082,
  /** HTTP/1.1 and HTTP/2 by ALPN, over TLS; only where a certificate was given. */
  https: 8443,
  /** gRPC: the echo service and `grpc.health.v1`. */
  grpc: 8083,
  /** TCP: what comes in goes back. */
  tcp: 9000,
  /** TCP that speaks first: a line about itself, then as `tcp`. */
  greeting: 9001,
  /** HTTP/1.1 on the loopback address alone: nobody outside the pod may reach it. */
  loopback: 8099,
  /** Drives the client; for the suites, by port-forward. */
  control: 8090,
} as const;

export type PortName = keyof typeof PORTS;
