/**
 * `npm run bench -- waypoint`: HTTP, measured; with Envoy (`--peer-envoy PATH`, or `envoy` in PATH) beside it in the same run.
 *
 * Two parts: `plain` is the engine alone (packages/http) as a proxy in clear; `hbone` is the waypoint as it is, between
 * two ztunnels that both sides share. Each side is one process with one thread of traffic; rounds are interleaved, and a row
 * is the median of them. Output: a Markdown table, and the same as JSON in bench-results/.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { AppProtocol, TunnelProtocol } from '@ambit/api/workload';
import { systemClock } from '@ambit/core/clock';
import { bytesOfIp } from '@ambit/core/ip';
import { createFakeCa } from '@ambit/identity/fake-ca';
import { ControlPlane } from '@ambit/waypoint/testing/control-plane';
import { Measurements } from '../measurements.ts';
import { cpuSeconds, memory } from '../process-usage.ts';
import { markdown, type Report } from '../report.ts';
import { Child } from './children.ts';
import { hboneEnvoy, plainEnvoy, type TlsFiles } from './envoy-config.ts';
import { type HttpLoad, httpLoad } from './http-loads.ts';
import { ENDPOINT_IDENTITY, NAMESPACE, SERVICE_PORT, SERVICES, WAYPOINT_IDENTITY } from './names.ts';

const USAGE = `npm run bench -- waypoint [--peer-envoy PATH] [--only plain|hbone] [--rounds N] [--seconds N] [--quick]

  --peer-envoy PATH  run the same table against this Envoy too, and print ratios (default: envoy in PATH, if there is one)
  --only PART        the engine as a proxy in clear, or the waypoint between two ztunnels (default: both)
  --rounds N         rounds of each measurement, of which the median counts (default 3)
  --seconds N        length of one measurement (default 5)
  --quick            one round of one second each: to see that it works, not to quote
`;

const HERE = new URL('.', import.meta.url).pathname;
/** V8's settings as the waypoint's entry gives them. */
const NODE = [process.execPath, '--max-semi-space-size=32'];
const BACKEND_PORT = 19_000;
const VERSIONS = ['1.1', '2'] as const;

const LOADS: readonly HttpLoad[] = [
  ...[1, 32, 128].map((connections) => ({
    name: `HTTP/1.1, ${connections} connection${connections === 1 ? '' : 's'}`,
    version: '1.1' as const,
    connections,
    streams: 1,
  })),
  { name: 'HTTP/2, 1 connection of 32 streams', version: '2', connections: 1, streams: 32 },
  { name: 'HTTP/2, 8 connections of 16 streams', version: '2', connections: 8, streams: 16 },
];

/** One proxy under load: where its clients connect, by the version of HTTP they speak. */
interface Side extends AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly ports: Readonly<Record<'1.1' | '2', number>>;
}

export async function benchWaypoint(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      'peer-envoy': { type: 'string' },
      only: { type: 'string' },
      rounds: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '5' },
      quick: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  const rounds = values.quick ? 1 : Number(values.rounds);
  const seconds = values.quick ? 1 : Number(values.seconds);
  const isPart = values.only === undefined || values.only === 'plain' || values.only === 'hbone';
  if (values.help || !isPart || !(rounds > 0) || !(seconds > 0)) {
    process.stdout.write(USAGE);
    return values.help ? 0 : 2;
  }
  const missing = ['wrk', 'h2load'].filter((tool) => programIn(tool) === undefined);
  if (missing.length > 0) {
    process.stderr.write(`not here: ${missing.join(', ')} (Debian packages wrk and nghttp2-client)\n`);
    return 1;
  }
  const envoy = values['peer-envoy'] ?? programIn('envoy');
  const scratch = mkdtempSync(join(tmpdir(), 'ambit-bench-'));
  const measurements = new Measurements();
  try {
    await using backend = new Child('the backend', [...NODE, `${HERE}backend.ts`, String(BACKEND_PORT)]);
    await backend.listening(BACKEND_PORT);
    for (const part of ['plain', 'hbone'] as const) {
      if (values.only !== undefined && values.only !== part) continue;
      await measurePart(part, envoy, { rounds, seconds, scratch }, measurements);
    }
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
  const report: Report = {
    sides: ['ambit', ...(envoy === undefined ? [] : ['envoy'])],
    facts: factsOf(rounds, seconds, envoy),
    rows: measurements.rows(),
  };
  const table = markdown(report);
  process.stdout.write(`${table}\n`);
  mkdirSync('bench-results', { recursive: true });
  writeFileSync('bench-results/http.md', table);
  writeFileSync('bench-results/http.json', `${JSON.stringify(report, undefined, 2)}\n`);
  return 0;
}

interface Run {
  readonly rounds: number;
  readonly seconds: number;
  readonly scratch: string;
}

async function measurePart(
  part: 'plain' | 'hbone',
  envoy: string | undefined,
  { rounds, seconds, scratch }: Run,
  measurements: Measurements,
): Promise<void> {
  await using scope = new AsyncDisposableStack();
  const sides: Side[] = [scope.use(part === 'plain' ? await plainOurs() : await hboneOurs())];
  if (envoy !== undefined) {
    sides.push(
      scope.use(part === 'plain' ? await plainPeer(envoy, scratch) : await hbonePeer(envoy, scratch)),
    );
  }
  const body = join(scratch, 'message');
  writeFileSync(body, Buffer.from([0, 0, 0, 0, 5, 1, 2, 3, 4, 5]));
  const grpc: HttpLoad = {
    name: 'gRPC unary, 8 connections of 16 streams',
    version: '2',
    connections: 8,
    streams: 16,
    body,
    headers: ['content-type: application/grpc', 'te: trailers'],
  };
  const loads = [...LOADS, grpc];
  for (const load of loads)
    for (const side of sides) await httpLoad(load, side.ports[load.version], 1, scratch);
  for (let round = 1; round <= rounds; round++) {
    for (const load of loads) {
      for (const side of sides) {
        process.stderr.write(`${part}, round ${round} of ${rounds}: ${load.name}, ${side.name}\n`);
        await measure(`${part}: ${load.name}`, load, side, { seconds, scratch }, measurements);
      }
    }
  }
  for (const side of sides)
    measurements.add(`${part}: memory, peak`, 'MB', 'less', side.name, memory(side.pid).peakBytes / 1e6);
}

async function measure(
  row: string,
  load: HttpLoad,
  side: Side,
  { seconds, scratch }: { readonly seconds: number; readonly scratch: string },
  measurements: Measurements,
): Promise<void> {
  const before = cpuSeconds(side.pid);
  const result = await httpLoad(load, side.ports[load.version], seconds, scratch);
  const cpu = cpuSeconds(side.pid) - before;
  if (result.failures > 0) throw new Error(`${row}, ${side.name}: ${result.failures} requests failed`);
  measurements.add(row, 'requests/s', 'more', side.name, result.perSecond);
  measurements.add(`${row}, p50`, 'µs', 'less', side.name, result.p50Us);
  measurements.add(`${row}, p99`, 'µs', 'less', side.name, result.p99Us);
  // h2load warms up for a second that it does not count.
  const counted = load.version === '2' ? seconds / (seconds + 1) : 1;
  measurements.add(
    `${row}, CPU`,
    'CPU-µs each',
    'less',
    side.name,
    ((cpu * counted) / result.requests) * 1e6,
  );
}

// In clear.

async function plainOurs(): Promise<Side> {
  const ports = { '1.1': 19_001, '2': 19_002 };
  const listen = JSON.stringify(Object.fromEntries(VERSIONS.map((version) => [ports[version], version])));
  const child = new Child('the engine', [...NODE, `${HERE}plain-proxy.ts`, listen, String(BACKEND_PORT)]);
  await child.listening(ports['2']);
  return side('ambit', child, ports);
}

async function plainPeer(envoy: string, scratch: string): Promise<Side> {
  const ports = { '1.1': 19_011, '2': 19_012 };
  const child = await startEnvoy(
    envoy,
    scratch,
    plainEnvoy({ listen: ports, backend: BACKEND_PORT }),
    ports['2'],
  );
  return side('envoy', child, ports);
}

// In tunnels.

async function hboneOurs(): Promise<Side> {
  await using scope = new AsyncDisposableStack();
  const [waypoint, hbone] = [19_021, 19_022];
  const controlPlane = new ControlPlane();
  scope.defer(() => controlPlane[Symbol.dispose]());
  describeMesh(controlPlane);
  await controlPlane.listen();
  const args = [String(waypoint), String(hbone), controlPlane.address];
  const proxy = scope.use(new Child('the waypoint', [...NODE, `${HERE}start-waypoint.ts`, ...args]));
  await proxy.listening(waypoint);
  return await betweenTunnels('ambit', proxy, { waypoint, hbone, plain: [19_023, 19_024] }, scope.move());
}

async function hbonePeer(envoy: string, scratch: string): Promise<Side> {
  await using scope = new AsyncDisposableStack();
  const [waypoint, hbone] = [19_031, 19_032];
  const config = hboneEnvoy({ listen: waypoint, hbone, backend: BACKEND_PORT }, await tlsFiles(scratch));
  const proxy = scope.use(await startEnvoy(envoy, scratch, config, waypoint));
  return await betweenTunnels('envoy', proxy, { waypoint, hbone, plain: [19_033, 19_034] }, scope.move());
}

async function betweenTunnels(
  name: string,
  proxy: Child,
  ports: { readonly waypoint: number; readonly hbone: number; readonly plain: readonly [number, number] },
  scope: AsyncDisposableStack,
): Promise<Side> {
  await using undo = new AsyncDisposableStack();
  undo.use(scope);
  const [first, second] = ports.plain;
  const authority = (version: '1.1' | '2') => `${SERVICES[version].vip}:${SERVICE_PORT}`;
  const about = {
    plain: { [first]: authority('1.1'), [second]: authority('2') },
    waypoint: ports.waypoint,
    hbone: ports.hbone,
    backend: BACKEND_PORT,
  };
  const ends = undo.use(new Child('the ztunnels', [...NODE, `${HERE}tunnel-ends.ts`, JSON.stringify(about)]));
  await ends.listening(second);
  const owned = undo.move();
  return {
    name,
    pid: proxy.pid,
    ports: { '1.1': first, '2': second },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

/** One pod behind two services that use the waypoint. */
function describeMesh(controlPlane: ControlPlane): void {
  const hostnameOf = (name: string) => `${name}.${NAMESPACE}.svc.cluster.local`;
  const hostname = hostnameOf('waypoint');
  for (const version of VERSIONS) {
    const { name, vip } = SERVICES[version];
    const appProtocol = version === '2' ? AppProtocol.HTTP2 : AppProtocol.HTTP11;
    controlPlane.service({
      name,
      namespace: NAMESPACE,
      hostname: hostnameOf(name),
      addresses: [{ network: '', address: bytesOfIp(vip) ?? new Uint8Array(), length: undefined }],
      ports: [{ servicePort: SERVICE_PORT, targetPort: 0, appProtocol }],
      waypoint: {
        destination: { $case: 'hostname', value: { namespace: NAMESPACE, hostname } },
        hboneMtlsPort: 15_008,
      },
    });
  }
  const ports = [{ servicePort: SERVICE_PORT, targetPort: BACKEND_PORT, appProtocol: AppProtocol.UNKNOWN }];
  const services = VERSIONS.map(
    (version) => [`${NAMESPACE}/${hostnameOf(SERVICES[version].name)}`, { ports }] as const,
  );
  controlPlane.workload({
    uid: `Kubernetes//Pod/${NAMESPACE}/web-0`,
    name: 'web-0',
    namespace: NAMESPACE,
    serviceAccount: ENDPOINT_IDENTITY.slice(ENDPOINT_IDENTITY.lastIndexOf('/') + 1),
    addresses: [bytesOfIp('127.0.0.1') ?? new Uint8Array()],
    tunnelProtocol: TunnelProtocol.HBONE,
    services: new Map(services),
  });
}

async function tlsFiles(scratch: string): Promise<TlsFiles> {
  const ca = await createFakeCa({ clock: systemClock });
  const certificate = await ca.issueWorkload(WAYPOINT_IDENTITY);
  const write = (name: string, text: string) => {
    const path = join(scratch, name);
    writeFileSync(path, text, { mode: 0o600 });
    return path;
  };
  return {
    certificate: write('chain.pem', certificate.chainPem.join('\n')),
    key: write('key.pem', String(certificate.privateKey.export({ format: 'pem', type: 'pkcs8' }))),
    roots: write('roots.pem', certificate.rootsPem.join('\n')),
  };
}

let envoys = 0;

async function startEnvoy(envoy: string, scratch: string, config: object, port: number): Promise<Child> {
  envoys += 1;
  const path = join(scratch, `envoy-${envoys}.json`);
  writeFileSync(path, JSON.stringify(config));
  const args = ['-c', path, '--concurrency', '1', '--base-id', String(envoys), '--log-level', 'error'];
  const child = new Child('Envoy', [envoy, ...args]);
  await child.listening(port);
  return child;
}

function side(name: string, child: Child, ports: Side['ports']): Side {
  return { name, pid: child.pid, ports, [Symbol.asyncDispose]: () => child[Symbol.asyncDispose]() };
}

function programIn(name: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(':').filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, name)).find((path) => existsSync(path));
}

function factsOf(rounds: number, seconds: number, envoy: string | undefined): Record<string, string> {
  const [first] = cpus();
  const version = envoy === undefined ? 'none' : execFileSync(envoy, ['--version'], { encoding: 'utf8' });
  return {
    plain:
      'load generator → proxy → backend, in clear on loopback; for ambit the engine alone, for envoy one route to one cluster',
    hbone:
      'load generator → ztunnel → HBONE → waypoint → HBONE → ztunnel → backend; both ztunnels one process, the same program for both sides',
    'each side': 'one process, one thread of traffic (envoy: --concurrency 1)',
    rounds: `${rounds} of ${seconds} s, median; sides interleaved`,
    machine: `${cpus().length} × ${first?.model.trim() ?? 'unknown'}, load generator and backend on the same cores`,
    kernel: readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim(),
    node: process.version,
    envoy: /version: .*?\/([^/]+)\//.exec(version)?.[1] ?? version.trim(),
  };
}
