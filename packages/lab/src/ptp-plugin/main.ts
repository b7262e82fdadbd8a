/**
 * The lab's main CNI plugin: a veth pair between a pod and its node, an address of each family, and routes.
 *
 * Speaks CNI 0.4.0 to 1.1.0 as the specification has it: parameters in CNI_* variables, the network's configuration on
 * standard input, the result or an error object on standard output. Runs in the node's network namespace.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { messageOf } from '@ambit/core/errors';
import { CommandError, ipBatch, run } from '../network/command.ts';
import { claimHost, hostOf, releaseHost } from './addresses.ts';

const VERSIONS = ['0.4.0', '1.0.0', '1.1.0'] as const;

/** Error codes of the CNI specification, §"Error". */
const CODE = { incompatibleVersion: 1, invalidEnvironment: 4, invalidConfig: 7, failed: 100 } as const;

class PluginError extends Error {
  readonly cniCode: number;

  constructor(cniCode: number, message: string) {
    super(message);
    this.cniCode = cniCode;
  }
}

interface NetworkConfig {
  readonly cniVersion: string;
  /** First three groups of the IPv4 network: `10.244.1`. */
  readonly prefix: string;
  /** The IPv6 network without its host part: `fd00:10:244:1::`. */
  readonly prefixIpv6: string;
  readonly stateFolder: string;
}

interface Call {
  readonly containerId: string;
  readonly netnsPath: string;
  readonly interfaceName: string;
  readonly config: NetworkConfig;
}

const GATEWAY_LINK_LOCAL = 'fe80::1';

function configFrom(text: string): NetworkConfig {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch (error) {
    throw new PluginError(CODE.invalidConfig, `the configuration is not JSON: ${messageOf(error)}`);
  }
  const fields = (typeof parsed === 'object' && parsed !== null ? parsed : {}) as Record<string, unknown>;
  const field = (name: string): string => {
    const value = fields[name];
    if (typeof value === 'string' && value !== '') return value;
    throw new PluginError(CODE.invalidConfig, `the configuration has no ${name}`);
  };
  const cniVersion = field('cniVersion');
  if (!VERSIONS.some((version) => version === cniVersion)) {
    throw new PluginError(
      CODE.incompatibleVersion,
      `CNI version ${cniVersion}: this plugin knows ${VERSIONS.join(', ')}`,
    );
  }
  return {
    cniVersion,
    prefix: field('prefix'),
    prefixIpv6: field('prefixIpv6'),
    stateFolder: field('stateFolder'),
  };
}

/** Interface names have at most 15 characters. */
function hostInterface(containerId: string): string {
  return `veth${createHash('sha256').update(containerId).digest('hex').slice(0, 10)}`;
}

async function inPod(netnsPath: string, lines: readonly string[]): Promise<void> {
  await run(['nsenter', `--net=${netnsPath}`, 'ip', '-batch', '-'], `${lines.join('\n')}\n`);
}

async function add({ containerId, netnsPath, interfaceName, config }: Call): Promise<object> {
  const host = claimHost(config.stateFolder, containerId);
  const link = hostInterface(containerId);
  const ip = `${config.prefix}.${host}`;
  const ipv6 = `${config.prefixIpv6}${host.toString(16)}`;
  const gateway = `${config.prefix}.1`;
  try {
    await ipBatch(undefined, [
      `link add name ${link} type veth peer name ${interfaceName} netns ${netnsPath}`,
      `address add ${GATEWAY_LINK_LOCAL}/64 dev ${link} nodad`,
      `link set dev ${link} up`,
    ]);
    await inPod(netnsPath, [
      'link set dev lo up',
      `address add ${ip}/32 dev ${interfaceName}`,
      `address add ${ipv6}/128 dev ${interfaceName} nodad`,
      `link set dev ${interfaceName} up`,
      `route add ${gateway} dev ${interfaceName} scope link`,
      `route add default via ${gateway} dev ${interfaceName}`,
      `route add default via ${GATEWAY_LINK_LOCAL} dev ${interfaceName}`,
    ]);
    await ipBatch(undefined, [`route add ${ip}/32 dev ${link}`, `route add ${ipv6}/128 dev ${link}`]);
  } catch (error) {
    await remove(config, containerId);
    throw error;
  }
  return {
    cniVersion: config.cniVersion,
    interfaces: [{ name: link }, { name: interfaceName, sandbox: netnsPath }],
    ips: [
      { address: `${ip}/24`, gateway, interface: 1 },
      { address: `${ipv6}/64`, interface: 1 },
    ],
    routes: [{ dst: '0.0.0.0/0', gw: gateway }, { dst: '::/0' }],
    dns: {},
  };
}

/** Removing what is not there is no error: a runtime calls DEL as often as it likes. */
async function remove(config: NetworkConfig, containerId: string): Promise<void> {
  try {
    await run(['ip', 'link', 'delete', 'dev', hostInterface(containerId)]);
  } catch (error) {
    if (!(error instanceof CommandError) || !/Cannot find device/.test(error.stderr)) throw error;
  }
  releaseHost(config.stateFolder, containerId);
}

async function check({ containerId, config }: Call): Promise<void> {
  if (hostOf(config.stateFolder, containerId) === undefined) {
    throw new PluginError(CODE.failed, `container ${containerId} has no address`);
  }
  await run(['ip', 'link', 'show', 'dev', hostInterface(containerId)]);
}

async function main(): Promise<object | undefined> {
  const variable = (name: string): string => {
    const value = process.env[name];
    if (value !== undefined && value !== '') return value;
    throw new PluginError(CODE.invalidEnvironment, `${name} is not set`);
  };
  const command = variable('CNI_COMMAND');
  if (command === 'VERSION') return { cniVersion: '1.1.0', supportedVersions: VERSIONS };
  const config = configFrom(readFileSync(0, 'utf8'));
  if (command === 'STATUS' || command === 'GC') return undefined;
  const containerId = variable('CNI_CONTAINERID');
  if (command === 'DEL') {
    await remove(config, containerId);
    return undefined;
  }
  const call = {
    containerId,
    netnsPath: variable('CNI_NETNS'),
    interfaceName: variable('CNI_IFNAME'),
    config,
  };
  if (command === 'ADD') return await add(call);
  if (command !== 'CHECK')
    throw new PluginError(CODE.invalidEnvironment, `CNI_COMMAND=${command} is unknown`);
  await check(call);
  return undefined;
}

try {
  const result = await main();
  if (result !== undefined) process.stdout.write(`${JSON.stringify(result)}\n`);
} catch (error) {
  const code = error instanceof PluginError ? error.cniCode : CODE.failed;
  process.stdout.write(`${JSON.stringify({ cniVersion: '1.0.0', code, msg: messageOf(error) })}\n`);
  process.exitCode = 1;
}
