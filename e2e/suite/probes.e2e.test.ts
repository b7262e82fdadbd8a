import { beforeAll, test } from '@jest/globals';
import { PORTS } from '../echo/ports.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { isReady } from './kit/mesh.ts';
import { peerAuthentication } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { throughout } from './kit/wait.ts';

const suite = useSuite('probes');

/** An answer that the mesh keeps back never comes; one that a busy machine keeps back may take seconds. */
const often = { periodSeconds: 1, timeoutSeconds: 15, failureThreshold: 3 };
/** So long its program may take to start before it is expected to live. */
const STARTS = { failureThreshold: 80 };
const READINESS = {
  http: { httpGet: { path: '/ready', port: PORTS.http } },
  tcp: { tcpSocket: { port: PORTS.tcp } },
  grpc: { grpc: { port: PORTS.grpc } },
  exec: {
    exec: {
      command: ['/usr/local/bin/node', '/app/main.mjs', 'check', `http://127.0.0.1:${PORTS.http}/ready`],
    },
  },
} as const;
const KINDS = Object.keys(READINESS) as readonly (keyof typeof READINESS)[];

/** Readiness and liveness alike; a liveness probe that fails restarts the container, which a suite sees. */
const probes = (kind: keyof typeof READINESS) => {
  const probe = { ...READINESS[kind], ...often, ...(kind === 'exec' && { periodSeconds: 2 }) };
  return { readinessProbe: probe, livenessProbe: probe, startupProbe: { ...probe, ...STARTS } };
};

let space: Space;
let outsider: EchoPod;

beforeAll(async () => {
  space = await suite.space('strict', 'ambient');
  const outside = await suite.space('out');
  await space.apply(peerAuthentication(space.name, 'default', { mode: 'STRICT' }));
  const started = await Promise.all([
    outside.run({ name: 'outsider' }),
    space.run(...KINDS.map((kind) => ({ name: kind, probes: probes(kind) }))),
  ]);
  [outsider] = started[0] as [EchoPod];
});

test.each(KINDS)('a pod with %s probes becomes ready in the mesh, and stays', async (kind) => {
  await space.enrolled(true, kind);
  await throughout(
    `${kind} is ready and was never restarted`,
    async () => {
      const pod = await space.pod(kind);
      const restarts = pod.status?.containerStatuses?.[0]?.restartCount ?? 0;
      return isReady(pod) && restarts === 0;
    },
    6_000,
    500,
  );
});

test('while STRICT keeps everybody out who is not in the mesh', async () => {
  const { ip } = await space.ready('http');
  await outsider.eventuallyRefused({ host: ip }, /ECONNRESET|hang up|closed/);
});
