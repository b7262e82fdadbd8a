/** Our plugin's own configuration, as it stands in a node's list. Names are Istio's. */
import type { JsonRecord } from '../../json.ts';
import { PLUGIN_TYPE } from '../../names.ts';

export interface PluginEntrySettings {
  /** As the plugin sees it, on the host. */
  readonly runDirectory: string;
  readonly ambientEnabled: boolean;
  /** As configured: `{podSelector, namespaceSelector}` each. */
  readonly enablementSelectors: readonly unknown[];
  readonly excludeNamespaces: readonly string[];
  /** Where this agent runs; its own pods must be able to start without it. */
  readonly podNamespace: string;
  readonly agentWaitMs: number;
  readonly logLevel: string;
  readonly nativeNftables: boolean;
}

export function pluginEntry(settings: PluginEntrySettings): JsonRecord {
  return {
    type: PLUGIN_TYPE,
    name: PLUGIN_TYPE,
    plugin_log_level: settings.logLevel,
    cni_agent_run_dir: settings.runDirectory,
    ambient_enabled: settings.ambientEnabled,
    enablement_selectors: settings.enablementSelectors,
    exclude_namespaces: settings.excludeNamespaces,
    pod_namespace: settings.podNamespace,
    ambit_agent_wait_ms: settings.agentWaitMs,
    native_nftables: settings.nativeNftables,
    ipam: {},
    dns: {},
  };
}
