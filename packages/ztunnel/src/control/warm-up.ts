/**
 * What workers warm up with: a pod that does not exist, which is client and server, in a mesh of nothing else.
 *
 * Its authority is made for this one certificate and its key is dropped: nobody else has one, and no real pod trusts it.
 */
import {
  ADDRESS_TYPE_URL,
  AppProtocol,
  createService,
  createWorkload,
  encodeAddress,
  TunnelProtocol,
  type Workload,
} from '@ambit/api/workload';
import type { Clock } from '@ambit/core/clock';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import { createSelfSignedCa } from '@ambit/identity/self-signed-ca';
import { formatIdentity } from '@ambit/model/workload';
import { WARM_UP_CONNECTIONS } from '../limits.ts';
import { meshDeltaMessage } from '../threads/mesh-delta.ts';
import type { WarmUpMessage } from '../threads/messages.ts';
import { certificateMessage } from './certificates.ts';
import type { WorkerPool } from './worker-pool.ts';

const TRUST_DOMAIN = 'warm-up.invalid';
const NAME = 'warm-up';
/** All of loopback, where the namespace that it is in has nothing else. */
const POD_IP = '127.0.0.2';
const OTHER_POD_IP = '127.0.0.4';
const SERVICE_IP = '127.0.0.3';
/** The proxy listens on it itself, and may have no right to ports below 1,024. */
const SERVICE_PORT = 8082;
const APPLICATION_PORT = 8080;
/** Longer than it is used, and no longer than needed. */
const CERTIFICATE_TTL_MS = 3_600_000;

export interface WarmUpOptions {
  readonly network: string;
  readonly workers: Pick<WorkerPool, 'send' | 'size' | 'subscribe'>;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Has workers warm up, one after another, when it is called first. They tell how it went; nothing depends on it. */
export function warmUpOnce({ network, workers, clock, log }: WarmUpOptions): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    warmUpMessage(network, clock).then(
      (message) => inTurn(workers, message),
      (error: unknown) => log.warn('workers do not warm up', { error: messageOf(error) }),
    );
  };
}

function inTurn(workers: WarmUpOptions['workers'], message: WarmUpMessage): void {
  const toldBy = workers.subscribe(({ kind }, worker) => {
    if (kind === 'warmed-up') tell(worker + 1);
  });
  const tell = (worker: number) =>
    worker < workers.size ? workers.send(worker, message) : toldBy[Symbol.dispose]();
  tell(0);
}

export async function warmUpMessage(network: string, clock: Clock): Promise<WarmUpMessage> {
  const pod = { uid: NAME, name: NAME, namespace: NAME, serviceAccount: NAME };
  const identity = formatIdentity({ trustDomain: TRUST_DOMAIN, ...pod });
  const authority = await createSelfSignedCa({ clock, organization: TRUST_DOMAIN });
  const hostname = `${NAME}.invalid`;
  const ports = [
    { servicePort: SERVICE_PORT, targetPort: APPLICATION_PORT, appProtocol: AppProtocol.UNKNOWN },
  ];
  const uid = `${NAME}//Pod/${NAME}/${NAME}`;
  const bare = {
    ...pod,
    uid,
    network,
    addresses: [bytesOf(POD_IP)],
    trustDomain: TRUST_DOMAIN,
    tunnelProtocol: TunnelProtocol.HBONE,
    node: NAME,
    services: new Map([[`${NAME}/${hostname}`, { ports }]]),
  };
  const full = {
    ...bare,
    clusterId: NAME,
    workloadName: NAME,
    canonicalName: NAME,
    canonicalRevision: NAME,
    locality: { region: NAME, zone: NAME, subzone: NAME },
  };
  const service = {
    name: `${NAME}/${hostname}`,
    value: encodeAddress({
      type: {
        $case: 'service',
        value: createService({
          name: NAME,
          namespace: NAME,
          hostname,
          ports,
          addresses: [{ network, address: bytesOf(SERVICE_IP) }],
        }),
      },
    }),
  };
  const delta = (
    version: number,
    workload: Partial<Workload> & { readonly uid: string },
    removed: string[],
  ) => {
    const value = encodeAddress({ type: { $case: 'workload', value: createWorkload(workload) } });
    const upserts = [{ name: workload.uid, value }, service];
    return meshDeltaMessage(ADDRESS_TYPE_URL, { upserts, removed }, version);
  };
  // The pod is the replica of another one, as most are, which goes.
  const other = { ...full, uid: `${uid}-1`, name: `${NAME}-1`, addresses: [bytesOf(OTHER_POD_IP)] };
  return {
    kind: 'warm-up',
    pod,
    nodeName: bare.node,
    meshes: [[delta(1, other, []), delta(2, full, [other.uid])], [delta(1, bare, [])]],
    certificate: certificateMessage(await authority.issueWorkload(identity, CERTIFICATE_TTL_MS)),
    targets: {
      direct: { ip: POD_IP, port: APPLICATION_PORT },
      captured: { ip: SERVICE_IP, port: SERVICE_PORT },
    },
    connections: WARM_UP_CONNECTIONS,
    application: { ip: POD_IP, port: APPLICATION_PORT },
  };
}

function bytesOf(ip: string): Uint8Array {
  return Uint8Array.from(ip.split('.'), Number);
}
