import { beforeAll, expect, test } from '@jest/globals';
import { PORTS } from '../echo/ports.ts';
import type { EchoPod } from './kit/echo-pod.ts';
import { isReady } from './kit/mesh.ts';
import { peerAuthentication } from './kit/objects.ts';
import type { Space } from './kit/space.ts';
import { useSuite } from './kit/suite.ts';
import { eventually, throughout } from './kit/wait.ts';

const suite = useSuite('probes');

const often = { periodSeconds: 1, timeoutSeconds: 3, failureThreshold: 3 };
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
const probes = (kind: keyof typeof READINESS) => ({
  readinessProbe: { ...READINESS[kind], ...often, ...(kind === 'exec' && { periodSeconds: 2 }) },
  livenessProbe: { ...READINESS[kind], ...often, ...(kind === 'exec' && { periodSeconds: 2 }) },
});

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
  const outcome = await eventually(
    'the outsider is refused',
    () => outsider.ask({ host: ip, timeoutMs: 3_000 }),
    ({ ok }) => !ok,
  );
  expect(outcome.ok ? '' : outcome.error).toMatch(/ECONNRESET|hang up|closed/);
});
