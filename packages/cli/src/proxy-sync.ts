/** Whether proxies have what the control plane has for them, by what it says of its clients. Pure. */
import { type JsonObject, listOf, numberOf, objectOf, textOf } from './json-value.ts';
import { PROXY_LATE_MS } from './limits.ts';

export type ProxySync =
  | { readonly is: 'current' }
  /** It has not taken, or not acknowledged, what it was sent. */
  | { readonly is: 'behind'; readonly forMs: number }
  /** It has refused what it was sent last, and goes on with what it had before. */
  | { readonly is: 'refusing'; readonly message: string };

/** @param clients - As `/debug/syncz` lists them. @returns By `namespace/name` of the proxy's pod. */
export function syncByPod(clients: readonly JsonObject[]): ReadonlyMap<string, ProxySync> {
  const newestLast = clients.toSorted((a, b) => connectedAt(a) - connectedAt(b));
  return new Map(
    newestLast.flatMap((client) => {
      const pod = podOf(textOf(client['nodeId']));
      return pod === undefined ? [] : [[pod, syncOf(client)] as const];
    }),
  );
}

function connectedAt(client: JsonObject): number {
  return numberOf(client['connectedAtMs']) ?? 0;
}

/** `KIND~ADDRESS~POD.NAMESPACE~…`, as Istio's proxies call themselves. */
function podOf(nodeId: string): string | undefined {
  const [, , id = ''] = nodeId.split('~');
  const dot = id.lastIndexOf('.');
  return dot < 1 ? undefined : `${id.slice(dot + 1)}/${id.slice(0, dot)}`;
}

function syncOf(client: JsonObject): ProxySync {
  const types = listOf(client['types']).map(objectOf);
  const refused = types.find((type) => textOf(type['lastRefusal']) !== '' && !isAcknowledged(type));
  if (refused) return { is: 'refusing', message: textOf(refused['lastRefusal']) };
  const forMs = Math.max(
    numberOf(client['unreadForMs']) ?? 0,
    ...types.map((type) => numberOf(type['unacknowledgedForMs']) ?? 0),
  );
  return forMs >= PROXY_LATE_MS ? { is: 'behind', forMs } : { is: 'current' };
}

function isAcknowledged(type: JsonObject): boolean {
  return textOf(type['nonceAcknowledged']) === textOf(type['nonceSent']);
}
