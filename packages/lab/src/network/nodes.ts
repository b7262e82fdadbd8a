/**
 * The lab's network: a switch (a bridge in a namespace of its own) and a namespace for each node, joined to it.
 *
 * Nodes route to each other's pods without translation, as a flat Kubernetes network does. The API server is reached on
 * the switch's own address, where this process listens: it enters the switch's namespace for that alone.
 */
import { openNetns, type Netns } from '@ambit/linux/netns';
import { API_IP, API_IPV6, type NodeAddresses } from './addresses.ts';
import { ipBatch, run } from './command.ts';

const PREFIX = 'lab-';
const SWITCH = `${PREFIX}switch`;
const BRIDGE = 'br0';

export interface LabNode extends NodeAddresses {
  /** Name for `ip netns`. */
  readonly namespace: string;
  readonly netns: Netns;
  /** The node's interface on the switch, seen from the switch: capture here to see what leaves and enters the node. */
  readonly switchPort: string;
}

export interface LabNetwork extends AsyncDisposable {
  readonly nodes: readonly LabNode[];
  readonly switchNamespace: string;
  readonly switchNetns: Netns;
}

/** Makes the switch and the nodes. Undone on disposal, and if it fails half-way. */
export async function makeNetwork(plan: readonly NodeAddresses[]): Promise<LabNetwork> {
  await using scope = new AsyncDisposableStack();
  const add = async (name: string): Promise<Netns> => {
    await run(['ip', 'netns', 'add', name]);
    scope.defer(() => removeNamespace(name));
    return scope.use(openNetns(`/run/netns/${name}`));
  };
  const switchNetns = await add(SWITCH);
  await ipBatch(SWITCH, [
    'link set dev lo up',
    `link add name ${BRIDGE} type bridge`,
    `address add ${API_IP}/24 dev ${BRIDGE}`,
    `address add ${API_IPV6}/64 dev ${BRIDGE} nodad`,
    `link set dev ${BRIDGE} up`,
  ]);
  const nodes: LabNode[] = [];
  for (const addresses of plan) nodes.push(await addNode(addresses, plan, add));
  const owned = scope.move();
  return {
    nodes,
    switchNamespace: SWITCH,
    switchNetns,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

async function addNode(
  node: NodeAddresses,
  all: readonly NodeAddresses[],
  add: (name: string) => Promise<Netns>,
): Promise<LabNode> {
  const namespace = `${PREFIX}${node.name}`;
  const switchPort = `to-${node.name}`;
  const netns = await add(namespace);
  await ipBatch(SWITCH, [
    `link add name ${switchPort} type veth peer name eth0 netns ${namespace}`,
    `link set dev ${switchPort} master ${BRIDGE} up`,
  ]);
  const others = all.filter(({ name }) => name !== node.name);
  await ipBatch(namespace, [
    'link set dev lo up',
    `address add ${node.ip}/24 dev eth0`,
    `address add ${node.ipv6}/64 dev eth0 nodad`,
    'link set dev eth0 up',
    `address add ${node.podGateway}/32 dev lo`,
    `address add ${node.podGatewayIpv6}/128 dev lo`,
    `route add default via ${API_IP}`,
    `route add default via ${API_IPV6}`,
    ...others.flatMap((other) => [
      `route add ${other.podCidr} via ${other.ip}`,
      `route add ${other.podCidrIpv6} via ${other.ipv6}`,
    ]),
  ]);
  // The switch answers pods too: their packets come with pod addresses.
  await ipBatch(SWITCH, [
    `route add ${node.podCidr} via ${node.ip}`,
    `route add ${node.podCidrIpv6} via ${node.ipv6}`,
  ]);
  await run([
    ...['ip', 'netns', 'exec', namespace, 'sysctl', '-qw'],
    ...['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1', 'net.ipv4.conf.all.rp_filter=0'],
  ]);
  return { ...node, namespace, netns, switchPort };
}

async function removeNamespace(name: string): Promise<void> {
  await run(['ip', 'netns', 'delete', name]);
}
