/**
 * The part of `npm run interop` that runs inside namespaces: a mesh of two nodes, the programs as pods on it.
 *
 * Clients and servers are on different nodes, so that everything crosses a tunnel; then the namespace gets a waypoint, and
 * the same goes through it. h2spec speaks to the waypoint's HTTP/2 alone: what is behind it is HTTP/1.1.
 */
import { join } from 'node:path';
import { gateways } from '@ambit/kube/resources/gateway';
import { namespaces } from '@ambit/kube/resources/core';
import { startLab } from '@ambit/lab/lab';
import { installMesh } from '@ambit/lab/mesh';
import { LabFixture, namespaceText, serverPod } from '@ambit/lab/testing/lab-fixture';
import { messageOf } from '@ambit/core/errors';
import { GRPC_CASES, h2specOutcome, NOT_APPLICABLE } from './cases.ts';

const NAMESPACE = 'shop';
const RUN_TIMEOUT_MS = 20 * 60_000;
const GRPC_PORT = 10_000;
/** Not the port's own: what goes past the waypoint would be refused. */
const WEB_PORT = 80;
/** Of a client's output, what says why it failed. */
const TELLING = /fail|fatal|error/i;
const SHOWN_LINES = 5;
const H2SPEC_TIMEOUT_S = 10;
/** Five of them in a frame are more than a waypoint says that it takes in one (64 KiB). */
const H2SPEC_HEADER_BYTES = 16_000;

/** Takes what it is sent, and answers with a few bytes. */
const WEB = `
  const { createServer } = require('node:http');
  createServer((request, response) => {
    request.on('error', () => undefined).resume();
    response.end('an answer of some octets');
  }).listen(8080, '::');
  process.on('SIGTERM', () => process.exit(0));`;

const say = (line: string) => process.stdout.write(`${line}\n`);
const startedMs = performance.now();
const report = (line: string) =>
  say(`${((performance.now() - startedMs) / 1_000).toFixed(1).padStart(6)}s  ${line}`);

interface Tally {
  passed: number;
  failed: number;
}

const program = (command: readonly string[], port: number) => ({
  containers: [
    {
      name: 'main',
      image: 'none',
      command,
      ports: [{ name: 'main', containerPort: port }],
      readinessProbe: { tcpSocket: { port: 'main' }, periodSeconds: 1 },
    },
  ],
});

const service = (name: string, port: object) =>
  JSON.stringify({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: NAMESPACE },
    spec: { selector: { app: name }, ports: [port] },
  });

const WAYPOINT = `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: waypoint, namespace: ${NAMESPACE}}
spec:
  gatewayClassName: istio-waypoint
  listeners: [{name: mesh, port: 15008, protocol: HBONE}]
`;

async function main(folder: string, only: readonly string[]): Promise<number> {
  const signal = AbortSignal.timeout(RUN_TIMEOUT_MS);
  const tally: Tally = { passed: 0, failed: 0 };
  await using lab = await startLab({ environment: { PATH: process.env['PATH'] } });
  const fixture = new LabFixture(lab, signal);
  await installMesh(lab, signal);
  report('the mesh is Ready');
  await fixture.apply(namespaceText(NAMESPACE));
  await label(fixture, { 'istio.io/dataplane-mode': 'ambient' }, signal);
  const server = [join(folder, 'grpc-server'), `-port=${GRPC_PORT}`];
  await fixture.apply(
    serverPod('grpc', 'node-b', program(server, GRPC_PORT)),
    service('grpc', { name: 'grpc', port: GRPC_PORT, targetPort: 'main' }),
    serverPod('web', 'node-b', program([process.execPath, '-e', WEB], 8080)),
    service('web', { name: 'http', port: WEB_PORT, targetPort: 'main' }),
    serverPod('client', 'node-a'),
  );
  await Promise.all(['grpc', 'web', 'client'].map((name) => fixture.ready(name)));
  await fixture.eventually('an answer', async () => (await askGrpc(fixture, folder, 'empty_unary')) === '');
  report('gRPC through the tunnel');
  await runGrpc(fixture, folder, only, tally);

  await fixture.apply(WAYPOINT);
  await fixture.eventually('the waypoint', async () => {
    const { status } = await lab.client.get(gateways, { namespace: NAMESPACE, name: 'waypoint' }, signal);
    return status?.conditions?.some(({ type, status: is }) => type === 'Programmed' && is === 'True');
  });
  await label(fixture, { 'istio.io/use-waypoint': 'waypoint' }, signal);
  await fixture.eventually('requests through the waypoint', async () => {
    const { output } = await fixture.exec(clientPod, process.execPath, '-e', ASK_FIELDS, '--', 'http://web/');
    return output.includes('x-envoy-upstream-service-time');
  });
  report('gRPC through the waypoint');
  await runGrpc(fixture, folder, only, tally);
  report('h2spec through the tunnel to the waypoint');
  await runH2spec(fixture, folder, tally);
  say(`${tally.passed} passed, ${tally.failed} failed`);
  return tally.failed === 0 ? 0 : 1;
}

const clientPod = { namespace: NAMESPACE, name: 'client' };
const ASK_FIELDS = `
  require('node:http').get(process.argv[1], { timeout: 2000 }, (answer) => {
    console.log(JSON.stringify(answer.headers)); answer.resume();
  }).on('timeout', function () { this.destroy(); }).on('error', (error) => console.log(error.message));`;

async function label(
  { lab }: LabFixture,
  labels: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<void> {
  const patch = { type: 'merge', body: { metadata: { labels } } } as const;
  await lab.client.patch(namespaces, { name: NAMESPACE }, patch, {}, signal);
}

async function runGrpc(
  fixture: LabFixture,
  folder: string,
  only: readonly string[],
  tally: Tally,
): Promise<void> {
  for (const name of Object.keys(GRPC_CASES)) {
    if (only.length > 0 && !only.includes(name)) continue;
    const problem = await askGrpc(fixture, folder, name);
    if (problem === '') tally.passed += 1;
    else tally.failed += 1;
    report(problem === '' ? `passed ${name}` : `failed ${name}: ${problem}`);
  }
}

/** @returns what went wrong; '' when it went well. */
async function askGrpc(fixture: LabFixture, folder: string, name: string): Promise<string> {
  const client = [join(folder, 'grpc-client'), '-server_host=grpc', `-server_port=${GRPC_PORT}`];
  const more = GRPC_CASES[name] ?? [];
  const { status, output } = await fixture.exec(clientPod, ...client, `-test_case=${name}`, ...more);
  if (status === 0) return '';
  const lines = output.split('\n').filter((line) => TELLING.test(line));
  return lines.slice(-SHOWN_LINES).join(' | ') || `status ${status}`;
}

async function runH2spec(fixture: LabFixture, folder: string, tally: Tally): Promise<void> {
  // It cuts its own header block at octet 10, and fails where a short name makes that shorter.
  const host = `web.${NAMESPACE}.svc.cluster.local`;
  const address = ['-h', host, '-p', String(WEB_PORT), '-o', String(H2SPEC_TIMEOUT_S)];
  const options = [...address, '--max-header-length', String(H2SPEC_HEADER_BYTES)];
  const h2spec = [join(folder, 'h2spec'), ...options];
  const { output } = await fixture.exec(clientPod, ...h2spec);
  const outcome = h2specOutcome(output);
  if (!outcome) {
    tally.failed += 1;
    report(`failed h2spec, which said: ${output.trim()}`);
    return;
  }
  const excused = outcome.failures.filter((title) => Object.hasOwn(NOT_APPLICABLE, title));
  tally.passed += outcome.passed;
  tally.failed += outcome.failed - excused.length;
  for (const title of outcome.failures)
    report(
      Object.hasOwn(NOT_APPLICABLE, title)
        ? `not applicable: ${title}: ${NOT_APPLICABLE[title]}`
        : `failed ${title}`,
    );
  report(`${outcome.passed} of h2spec's passed, ${outcome.skipped} it left out, ${outcome.failed} failed`);
}

try {
  const [folder = '', ...only] = process.argv.slice(2);
  process.exitCode = await main(folder, only);
} catch (error) {
  say(`FAILED: ${messageOf(error)}`);
  say('0 passed, 1 failed');
  process.exitCode = 1;
}
