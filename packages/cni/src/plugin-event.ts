/**
 * What the plugin tells the agent of a pod, over the agent's Unix socket: Istio's event, with additions of ours.
 *
 * Field names are Go's defaults, an address is a Go `net.IPNet`: text and a base64 mask. Istio's plugin sends only pods
 * that it found eligible; ours sends every pod, says so by `Source`, and lets the agent decide.
 */
import { parseCidr, parseIp } from '@ambit/core/ip';
import { listOf, recordOf, textOf, type JsonRecord } from './json.ts';
import { POD_ADDRESSES_MAX } from './limits.ts';

/** How an event says that our plugin sent it. */
const EVENT_SOURCE = 'ambit';

export interface PluginEvent {
  readonly netns: string;
  readonly podName: string;
  readonly podNamespace: string;
  /** Canonical. */
  readonly ips: readonly string[];
  /** Whether the sender left the decision to the agent, as ours does. */
  readonly undecided: boolean;
  /** Empty where the runtime does not tell. */
  readonly podUid: string;
  readonly containerId: string;
}

export interface EventFacts extends Omit<PluginEvent, 'ips' | 'undecided'> {
  /** The previous plugin's result, as it came. */
  readonly prevResult: JsonRecord | undefined;
}

/** The body of `/cmdadd`. */
export function encodeEvent(facts: EventFacts): string {
  const { netns, podName, podNamespace, podUid, containerId, prevResult } = facts;
  return JSON.stringify({
    Netns: netns,
    PodName: podName,
    PodNamespace: podNamespace,
    IPs: prevResult === undefined ? null : listOf(prevResult['ips']).flatMap(encodeAddress),
    PodUID: podUid,
    ContainerID: containerId,
    Source: EVENT_SOURCE,
  });
}

/** `undefined` if `body` is no event; names are read in any case, as Go does. */
export function decodeEvent(body: unknown): PluginEvent | undefined {
  const given = recordOf(body);
  if (!given) return undefined;
  const fields = new Map(Object.entries(given).map(([name, value]) => [name.toLowerCase(), value]));
  const text = (name: string) => textOf(fields.get(name)) ?? '';
  const listed = listOf(fields.get('ips'));
  const ips = listed.map(decodeAddress).filter((ip) => ip !== undefined);
  if (text('podname') === '' || text('podnamespace') === '' || text('netns') === '') return undefined;
  if (listed.length > POD_ADDRESSES_MAX || ips.length !== listed.length) return undefined;
  return {
    netns: text('netns'),
    podName: text('podname'),
    podNamespace: text('podnamespace'),
    ips,
    undecided: text('source') === EVENT_SOURCE,
    podUid: text('poduid'),
    containerId: text('containerid'),
  };
}

function encodeAddress(entry: unknown): readonly JsonRecord[] {
  const ip = recordOf(entry);
  const [address = '', length] = (textOf(ip?.['address']) ?? '').split('/');
  const canonical = parseIp(address);
  const block = parseCidr(`${address}/${length}`);
  if (!canonical || !block) return [];
  const index = ip?.['interface'];
  return [
    {
      Interface: typeof index === 'number' ? index : null,
      Address: { IP: canonical, Mask: Buffer.from(maskOf(block)).toString('base64') },
      Gateway: textOf(ip?.['gateway']) ?? '',
    },
  ];
}

function maskOf({ bytes, length }: { readonly bytes: Uint8Array; readonly length: number }): Uint8Array {
  return bytes.map((_, i) => (0xff << (8 - Math.max(0, Math.min(8, length - 8 * i)))) & 0xff);
}

function decodeAddress(entry: unknown): string | undefined {
  const fields = Object.entries(recordOf(entry) ?? {});
  const address = recordOf(fields.find(([name]) => name.toLowerCase() === 'address')?.[1]);
  const text = Object.entries(address ?? {}).find(([name]) => name.toLowerCase() === 'ip')?.[1];
  return typeof text === 'string' ? parseIp(text) : undefined;
}
