/**
 * Everything the node agent can be told from outside. The names are Istio's wherever Istio has one.
 *
 * Istio reads booleans loosely here: what is not true is false, and nothing fails. So does this.
 */
import {
  durationMs,
  type Infer,
  integer,
  loadConfig,
  names,
  parsed,
  type Schema,
  text,
  type Variable,
} from '@ambit/core/config/schema';
import { parseIp } from '@ambit/core/ip';
import type { LabelSelector } from '@ambit/kube/label-selector';
import { parse as parseYaml } from 'yaml';
import { AGENT_WAIT_MS } from '../limits.ts';
import { PROBE_SOURCE_V4, PROBE_SOURCE_V6 } from '../rules/constants.ts';
import { recordOf } from '../json.ts';
import { DEFAULT_SELECTORS, type EnablementSelector } from './decide/eligibility.ts';
import { parseBool } from './decide/plan.ts';

function looseFlag(env: string, fallback: boolean, doc: string): Variable<boolean> {
  return parsed({
    env,
    default: fallback,
    doc,
    want: 'true or false',
    parse: (value) => parseBool(value) ?? false,
  });
}

function address(env: string, fallback: string, doc: string): Variable<string> {
  return parsed({ env, default: fallback, doc, want: 'an IP address', parse: parseIp });
}

function ownedName(env: string): Variable<string> {
  return text({
    env,
    default: '',
    doc: 'Name of that copy. Default: 02-istio-cni.conflist. Istio’s agent and chart spell the variable differently; both are read.',
  });
}

export const schema = {
  nodeName: text({
    env: 'NODE_NAME',
    default: '',
    doc: 'The Kubernetes node that this agent serves. Required.',
  }),
  podName: text({ env: 'POD_NAME', default: '', doc: 'Name of the agent’s own pod.' }),
  podNamespace: text({
    env: 'POD_NAMESPACE',
    default: 'istio-system',
    doc: 'Namespace of the agent’s own pod.',
  }),
  systemNamespace: text({
    env: 'SYSTEM_NAMESPACE',
    default: 'istio-system',
    doc: 'Where ztunnel runs; its pods are never enrolled.',
  }),
  kubeconfig: text({ env: 'KUBECONFIG', default: '', doc: 'Way to the API server; empty inside a cluster.' }),
  enabled: looseFlag('AMBIENT_ENABLED', true, 'Whether pods are enrolled at all.'),
  selectors: parsed<readonly EnablementSelector[]>({
    env: 'AMBIENT_ENABLEMENT_SELECTOR',
    default: DEFAULT_SELECTORS,
    doc: 'Which pods are enrolled: a YAML list of podSelector and namespaceSelector, any of which is enough. Empty: the label istio.io/dataplane-mode=ambient of the pod or its namespace.',
    want: 'a YAML list of {podSelector, namespaceSelector}',
    parse: parseSelectors,
  }),
  excludedNamespaces: names({
    env: 'EXCLUDE_NAMESPACES',
    default: new Set(['kube-system']),
    doc: 'Namespaces, separated by commas, whose pods are never enrolled. Default: kube-system.',
  }),
  dnsCapture: looseFlag(
    'AMBIENT_DNS_CAPTURE',
    true,
    'Whether the DNS queries of enrolled pods go to ztunnel.',
  ),
  ipv6: looseFlag('AMBIENT_IPV6', true, 'Whether IPv6 connections are captured.'),
  reconcileOnStartup: looseFlag(
    'AMBIENT_RECONCILE_POD_RULES_ON_STARTUP',
    true,
    'Whether the rules of pods that are enrolled already are applied again at start.',
  ),
  disableSafeUpgrade: looseFlag(
    'AMBIENT_DISABLE_SAFE_UPGRADE',
    false,
    'Remove plugin and host rules at every shutdown, also at an upgrade.',
  ),
  nativeNftables: looseFlag(
    'NATIVE_NFTABLES',
    false,
    'Use nftables or fail. Otherwise nftables where it works, and iptables where it does not.',
  ),
  iptablesProgram: parsed<'' | 'iptables' | 'iptables-nft' | 'iptables-legacy'>({
    env: 'FORCE_IPTABLES_BINARY',
    default: '',
    doc: 'Use iptables, and this one: iptables, iptables-nft or iptables-legacy.',
    want: 'iptables, iptables-nft or iptables-legacy',
    parse: (value) =>
      (['', 'iptables', 'iptables-nft', 'iptables-legacy'] as const).find((name) => name === value),
  }),
  probeSourceV4: address(
    'HOST_PROBE_SNAT_IP',
    PROBE_SOURCE_V4,
    'Source address of the node’s probes to enrolled pods.',
  ),
  probeSourceV6: address('HOST_PROBE_SNAT_IPV6', PROBE_SOURCE_V6, 'The same for IPv6.'),
  switchToHostNetns: looseFlag(
    'ALLOW_SWITCH_TO_HOST_NS',
    false,
    'The agent has a network namespace of its own; host rules go into that of process 1.',
  ),
  runFolder: text({
    env: 'CNI_AGENT_RUN_DIR',
    default: '/var/run/istio-cni',
    doc: 'Sockets and files that agent and plugin share.',
  }),
  zdsSocket: text({
    env: 'ZTUNNEL_UDS_ADDRESS',
    default: '/var/run/ztunnel/ztunnel.sock',
    doc: 'Where ztunnel connects.',
  }),
  cniConfigFolder: text({
    env: 'MOUNTED_CNI_NET_DIR',
    default: '/host/etc/cni/net.d',
    doc: 'The node’s CNI configurations, as seen from here.',
  }),
  pluginSource: text({
    env: 'AMBIT_CNI_PLUGIN_SOURCE',
    default: '/opt/cni/bin',
    doc: 'The plugin in this agent’s own image; empty: somebody else installs it.',
  }),
  cniBinFolder: text({
    env: 'AMBIT_CNI_BIN_DIR',
    default: '/host/opt/cni/bin',
    doc: 'The node’s CNI plugins, as seen from here.',
  }),
  cniBinFolderOnNode: text({
    env: 'AMBIT_CNI_BIN_HOST_DIR',
    default: '',
    doc: 'The same folder as the node sees it: the plugin is started there by this agent’s own Node, copied with its libraries. Empty: by what its first line names.',
  }),
  cniConfigName: text({
    env: 'CNI_CONF_NAME',
    default: '',
    doc: 'The configuration to chain the plugin into; empty: the first one.',
  }),
  chained: looseFlag(
    'CHAINED_CNI_PLUGIN',
    true,
    'Add the plugin to the node’s list of plugins; otherwise write a file of its own (for Multus).',
  ),
  ownedConfig: looseFlag(
    'ISTIO_OWNED_CNI_CONFIG',
    false,
    'Leave the node’s list alone and write a copy with the plugin that sorts before it.',
  ),
  ownedConfigName: ownedName('ISTIO_OWNED_CNI_CONFIG_FILENAME'),
  ownedConfigNameOfChart: ownedName('ISTIO_OWNED_CNI_CONF_FILENAME'),
  configGroupRead: looseFlag(
    'CNI_CONF_GROUP_READ',
    false,
    'A configuration file that is new may be read by its group.',
  ),
  pluginWaitMs: durationMs({
    env: 'AMBIT_PLUGIN_WAIT',
    default: AGENT_WAIT_MS,
    doc: 'How long the plugin lets a pod of the mesh wait for this agent before it fails, at most 60 s.',
  }),
  pluginLogLevel: text({ env: 'AMBIT_PLUGIN_LOG_LEVEL', default: 'info', doc: 'What the plugin logs.' }),
  healthPort: integer({
    env: 'AMBIT_HEALTH_PORT',
    default: 8_000,
    max: 65_535,
    doc: 'Serves /healthz and /readyz.',
  }),
  metricsPort: integer({ env: 'MONITORING_PORT', default: 15_014, max: 65_535, doc: 'Serves /metrics.' }),
  hostPrefix: text({
    env: 'AMBIT_HOST_ROOT',
    default: '/host',
    doc: 'In front of paths of the node, as seen from here.',
  }),
  logFilter: text({ env: 'AMBIT_LOG', default: 'info', doc: 'Levels of the log: info, or cni=debug,info.' }),
} satisfies Schema;

export type AgentConfig = Infer<typeof schema>;

/** @throws ConfigError naming every variable that is not what it must be. */
export function agentConfigFrom(env: Readonly<Record<string, string | undefined>>): AgentConfig {
  return loadConfig(schema, env);
}

/** Text as in Istio's chart; empty text is the default. `undefined` for anything else. */
export function parseSelectors(yaml: string): readonly EnablementSelector[] | undefined {
  if (yaml.trim() === '') return DEFAULT_SELECTORS;
  let value: unknown;
  try {
    value = parseYaml(yaml, { maxAliasCount: 10 });
  } catch {
    return undefined;
  }
  if (!Array.isArray(value)) return undefined;
  const selectors = value.map((one): EnablementSelector | undefined => {
    const entry = recordOf(one);
    if (!entry) return undefined;
    const podSelector = selectorOf(entry['podSelector']);
    const namespaceSelector = selectorOf(entry['namespaceSelector']);
    return podSelector && namespaceSelector ? { podSelector, namespaceSelector } : undefined;
  });
  return selectors.every((selector) => selector !== undefined) ? selectors : undefined;
}

/** A selector that is not there accepts everything, as an empty one does. */
function selectorOf(value: unknown): LabelSelector | undefined {
  if (value === undefined || value === null) return {};
  const selector = recordOf(value);
  if (!selector) return undefined;
  const { matchLabels = {}, matchExpressions = [] } = selector;
  if (!recordOf(matchLabels) || !Array.isArray(matchExpressions)) return undefined;
  const expressions = matchExpressions.map((one) => {
    const { key, operator, values = [] } = recordOf(one) ?? {};
    if (typeof key !== 'string' || typeof operator !== 'string' || !Array.isArray(values)) return undefined;
    return { key, operator, values: values.map(String) };
  });
  if (!expressions.every((one) => one !== undefined)) return undefined;
  const labels = Object.entries(recordOf(matchLabels) ?? {}).map(([name, label]) => [name, String(label)]);
  return { matchLabels: Object.fromEntries(labels) as Record<string, string>, matchExpressions: expressions };
}
