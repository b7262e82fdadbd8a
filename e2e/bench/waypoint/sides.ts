/**
 * Who is compared: each side is one process with one thread of traffic, and what it needs around it.
 *
 * What is ours runs as plain JavaScript, as images have it, so that neither its memory nor its start is that of the
 * sources' type stripper.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { AppProtocol, TunnelProtocol } from '@ambit/api/workload';
import { bundle } from '@ambit/core/build/bundle';
import { systemClock } from '@ambit/core/clock';
import { bytesOfIp } from '@ambit/core/ip';
import { createFakeCa } from '@ambit/identity/fake-ca';
import { ALLOCATOR, V8_FLAGS } from '@ambit/waypoint/runtime';
import { ControlPlane } from '@ambit/waypoint/testing/control-plane';
import { Child } from './children.ts';
import { hboneEnvoy, plainEnvoy, type TlsFiles } from './envoy-config.ts';
import { ENDPOINT_IDENTITY, NAMESPACE, SERVICE_PORT, SERVICES, WAYPOINT_IDENTITY } from './names.ts';
import type { Rules } from './rules.ts';

const HERE = new URL('.', import.meta.url).pathname;
const BUNDLES = new URL('../../../node_modules/.cache/ambit/bench-http', import.meta.url).pathname;
const BACKEND_PORT = 19_000;
const VERSIONS = ['1.1', '2'] as const;

/** One proxy under load: where its clients connect, by the version of HTTP they speak. */
export interface Side extends AsyncDisposable {
  readonly name: string;
  readonly pid: number;
  readonly ports: Readonly<Record<'1.1' | '2', number>>;
}

/** How sides are started. */
export interface Bench {
  /** Files that do not outlive it. */
  readonly scratch: string;
  /** The other side's program. */
  readonly envoy: string | undefined;
}

const PROGRAMS = ['backend', 'plain-proxy', 'start-waypoint', 'tunnel-ends'] as const;

/** Once, before anything is started. */
export async function buildPrograms(): Promise<void> {
  await bundle(Object.fromEntries(PROGRAMS.map((name) => [name, `${HERE}${name}.ts`])), BUNDLES);
}

/** What is ours, with the waypoint's settings. */
function program(name: (typeof PROGRAMS)[number], ...args: readonly string[]): readonly string[] {
  return [process.execPath, ...V8_FLAGS, join(BUNDLES, `${name}.mjs`), ...args];
}

export async function startBackend(): Promise<Child> {
  const child = new Child('the backend', program('backend', String(BACKEND_PORT)));
  await child.listening(BACKEND_PORT);
  return child;
}

/** In clear: ours, and Envoy if there is one. */
export async function plainSides({ envoy, scratch }: Bench): Promise<readonly Side[]> {
  return [await plainOurs(), ...(envoy === undefined ? [] : [await plainPeer(envoy, scratch)])];
}

/** Between two ztunnels: ours, and Envoy if there is one. */
export async function hboneSides(
  { envoy, scratch }: Bench,
  rules: Rules | undefined,
): Promise<readonly Side[]> {
  const ours = await hboneOurs(rules);
  return [ours, ...(envoy === undefined ? [] : [await hbonePeer(envoy, scratch, rules)])];
}

// In clear.

async function plainOurs(): Promise<Side> {
  const ports = { '1.1': 19_001, '2': 19_002 };
  const listen = JSON.stringify(Object.fromEntries(VERSIONS.map((version) => [ports[version], version])));
  const child = new Child('the engine', program('plain-proxy', listen, String(BACKEND_PORT)), ALLOCATOR);
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

async function hboneOurs(rules: Rules | undefined): Promise<Side> {
  await using scope = new AsyncDisposableStack();
  const [waypoint, hbone] = [19_021, 19_022];
  const controlPlane = new ControlPlane();
  scope.defer(() => controlPlane[Symbol.dispose]());
  describeMesh(controlPlane);
  if (rules) {
    controlPlane.set('RequestAuthentication', `${NAMESPACE}/rules`, rules.authentication);
    controlPlane.set('AuthorizationPolicy', `${NAMESPACE}/rules`, rules.authorization);
  }
  await controlPlane.listen();
  const args = [String(waypoint), String(hbone), controlPlane.address];
  const proxy = scope.use(new Child('the waypoint', program('start-waypoint', ...args), ALLOCATOR));
  await proxy.listening(waypoint);
  return await betweenTunnels('ambit', proxy, { waypoint, hbone, plain: [19_023, 19_024] }, scope.move());
}

async function hbonePeer(envoy: string, scratch: string, rules: Rules | undefined): Promise<Side> {
  await using scope = new AsyncDisposableStack();
  const [waypoint, hbone] = [19_031, 19_032];
  const about = { listen: waypoint, hbone, backend: BACKEND_PORT, rules: rules?.envoy };
  const config = hboneEnvoy(about, await tlsFiles(scratch));
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
  const ends = undo.use(new Child('the ztunnels', program('tunnel-ends', JSON.stringify(about))));
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
