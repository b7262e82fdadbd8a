/** For tests: a whole waypoint with its control plane, in this process, and services behind it. */
import { AppProtocol, TunnelProtocol } from '@ambit/api/workload';
import { type Clock, systemClock, systemRandom } from '@ambit/core/clock';
import { bytesOfIp } from '@ambit/core/ip';
import { LogRoot } from '@ambit/core/log';
import { type App, type AppDeps, startApp } from '../app.ts';
import { type Config, configFrom } from '../config.ts';
import { LogOutputs } from '../telemetry/access-log/log-outputs.ts';
import { type Client, type ClientOptions, openClient } from './client.ts';
import { ControlPlane } from './control-plane.ts';

export const NAMESPACE = 'shop';
export const WAYPOINT_IDENTITY = `spiffe://cluster.local/ns/${NAMESPACE}/sa/waypoint`;
export const ALICE = `spiffe://cluster.local/ns/${NAMESPACE}/sa/alice`;
export const WAYPOINT = {
  destination: {
    $case: 'hostname',
    value: { namespace: NAMESPACE, hostname: `waypoint.${NAMESPACE}.svc.cluster.local` },
  },
  hboneMtlsPort: 15008,
} as const;

export interface ServiceSpec {
  readonly name: string;
  readonly vip: string;
  /** Default HTTP11. */
  readonly protocol?: AppProtocol;
  /** Default: true. */
  readonly attached?: boolean;
}

export interface EndpointSpec {
  readonly name: string;
  readonly service: string;
  readonly ip: string;
  readonly port: number;
  /** In a tunnel, with this identity; otherwise in clear. */
  readonly tunnelled?: boolean;
}

export const hostnameOf = (service: string) => `${service}.${NAMESPACE}.svc.cluster.local`;
export const identityOf = (endpoint: string) => `spiffe://cluster.local/ns/${NAMESPACE}/sa/${endpoint}`;
/** Of every service here. */
export const SERVICE_PORT = 80;

export class WaypointNetwork implements AsyncDisposable {
  readonly controlPlane: ControlPlane;
  readonly app: App;
  /** Of the access log, if the settings ask for one. */
  readonly lines: readonly string[];
  readonly #clients: Client[] = [];

  constructor(controlPlane: ControlPlane, app: App, lines: readonly string[]) {
    this.controlPlane = controlPlane;
    this.app = app;
    this.lines = lines;
  }

  service({ name, vip, protocol = AppProtocol.HTTP11, attached = true }: ServiceSpec): void {
    this.controlPlane.service({
      name,
      namespace: NAMESPACE,
      hostname: hostnameOf(name),
      addresses: [{ network: '', address: bytesOf(vip), length: undefined }],
      ports: [{ servicePort: SERVICE_PORT, targetPort: 0, appProtocol: protocol }],
      waypoint: attached ? WAYPOINT : undefined,
    });
  }

  endpoint({ name, service, ip, port, tunnelled = false }: EndpointSpec): void {
    const ports = [{ servicePort: SERVICE_PORT, targetPort: port, appProtocol: AppProtocol.UNKNOWN }];
    this.controlPlane.workload({
      uid: `Kubernetes//Pod/${NAMESPACE}/${name}`,
      name,
      namespace: NAMESPACE,
      serviceAccount: name,
      addresses: [bytesOf(ip)],
      tunnelProtocol: tunnelled ? TunnelProtocol.HBONE : TunnelProtocol.NONE,
      services: new Map([[`${NAMESPACE}/${hostnameOf(service)}`, { ports }]]),
    });
  }

  removeEndpoint(name: string): void {
    this.controlPlane.removeAddress(`Kubernetes//Pod/${NAMESPACE}/${name}`);
  }

  async client(identity = ALICE, session: ClientOptions['session'] = {}): Promise<Client> {
    const port = this.app.ports.inbound;
    const client = await openClient({ port, identity, expect: WAYPOINT_IDENTITY, session });
    this.#clients.push(client);
    return client;
  }

  /** The text of a page, and its status. */
  async page(server: 'admin' | 'stats' | 'readiness', path: string, method = 'GET') {
    const response = await fetch(`http://127.0.0.1:${this.app.ports[server]}${path}`, { method });
    return { status: response.status, body: await response.text() };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client[Symbol.dispose]();
    await this.app[Symbol.asyncDispose]();
    this.controlPlane[Symbol.dispose]();
  }
}

export interface NetworkOptions {
  readonly env?: Readonly<Record<string, string>>;
  /** Where endpoints take tunnels. */
  readonly hbonePort?: number;
  /** Where Secrets are mounted. */
  readonly credentials?: string;
  /** Who is asked for names that clients bring, and which addresses are believed. */
  readonly outside?: AppDeps['outside'];
  /** The waypoint's. Default: the system's. */
  readonly clock?: Clock;
  /** What the control plane knows before the waypoint starts. */
  readonly before?: (controlPlane: ControlPlane) => void;
}

/** Resolves when it serves. */
export async function startWaypoint(options: NetworkOptions = {}): Promise<WaypointNetwork> {
  await using scope = new AsyncDisposableStack();
  const controlPlane = scope.use(new ControlPlane());
  options.before?.(controlPlane);
  await controlPlane.listen();
  const config = testConfig(controlPlane.address, options.env);
  const log = new LogRoot({ ...config.log, destination: { write: () => true } });
  const lines: string[] = [];
  const app = scope.use(
    await startApp(
      config,
      {
        clock: options.clock ?? systemClock,
        random: systemRandom,
        log,
        environment: {},
        machineHasIpv6: false,
        onShutdown: () => undefined,
        accessLog: new LogOutputs(systemClock, () => ({
          write: (line) => lines.push(line) > 0,
          flush: () => undefined,
          flushSync: () => undefined,
          dropped: 0,
        })),
        ...(options.hbonePort === undefined ? {} : { hbonePort: options.hbonePort }),
        ...(options.credentials === undefined ? {} : { credentials: options.credentials }),
        ...(options.outside && { outside: options.outside }),
      },
      AbortSignal.timeout(120_000),
    ),
  );
  const network = new WaypointNetwork(controlPlane, app, lines);
  while ((await network.page('readiness', '/healthz/ready')).status !== 200) await systemClock.sleep(5);
  scope.move();
  return network;
}

export function testConfig(xdsAddress: string, env: Readonly<Record<string, string>> = {}): Config {
  const config = configFrom(
    {
      POD_NAME: 'waypoint-0',
      POD_NAMESPACE: NAMESPACE,
      SERVICE_ACCOUNT: 'waypoint',
      GATEWAY_NAME: 'waypoint',
      INSTANCE_IP: '10.0.0.9',
      XDS_ADDRESS: xdsAddress,
      FAKE_CA: 'true',
      TERMINATION_DRAIN_DURATION_SECONDS: '1',
      ...env,
    },
    { exists: () => false },
  );
  return { ...config, ports: { admin: 0, inbound: 0, stats: 0, readiness: 0 } };
}

function bytesOf(ip: string): Uint8Array {
  const bytes = bytesOfIp(ip);
  if (!bytes) throw new Error(`${ip} is no address`);
  return bytes;
}
