/** The parts of the agent that the node's circumstances choose: who applies host rules, how the plugin is installed. */
import type { Clock } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { join } from 'node:path';
import { type RunCommand, runCommand } from '../rules/command.ts';
import type { Detected } from '../rules/detect.ts';
import { IptablesHostProbes } from '../rules/host-iptables.ts';
import { kubeletUid } from '../rules/kubelet-user.ts';
import type { AgentConfig } from './config.ts';
import { type HostProbes, NftHostProbes } from './host-probes.ts';
import { Installer, type InstallMode, type InstallResult } from './install/installer.ts';
import { pluginEntry } from './install/plugin-entry.ts';
import { ownRuntimeFiles } from './install/runtime.ts';

const OWNED_CONFIG_NAME = '02-istio-cni.conflist';

export interface WiringDeps {
  readonly clock: Clock;
  readonly log: Logger;
}

/** @param hostNetnsFd - The node's own namespace, where the kubelet's connections come from. */
export function hostProbesFor(
  config: AgentConfig,
  { backend, iptablesProgram }: Detected,
  hostNetnsFd: number,
  { clock, log }: WiringDeps,
  run: RunCommand = runCommand,
): HostProbes {
  const uid = kubeletUid(join(config.hostPrefix, 'proc'));
  if (uid === undefined)
    log.info('no process of this node is a kubelet; every process of the node counts as one for probes');
  const rules = {
    ipv6: config.ipv6,
    probeSources: { v4: config.probeSourceV4, v6: config.probeSourceV6 },
    ...(uid === undefined ? {} : { kubeletUid: uid }),
  };
  return backend.name === 'nftables'
    ? new NftHostProbes({ run, clock, hostNetnsFd, rules, log })
    : new IptablesHostProbes({ run, clock, hostNetnsFd, rules, program: iptablesProgram, log });
}

/** `undefined` when somebody else installs the plugin. */
export function installerFor(
  config: AgentConfig,
  { clock, log }: WiringDeps,
  onInstall: (result: InstallResult) => void,
): Installer | undefined {
  if (config.pluginSource === '') return undefined;
  const mode: InstallMode = !config.chained ? 'standalone' : config.ownedConfig ? 'owned' : 'chained';
  return new Installer({
    mode,
    binarySource: config.pluginSource,
    binaryTarget: config.cniBinFolder,
    ...(config.cniBinFolderOnNode !== '' && {
      runtime: { files: ownRuntimeFiles(), hostDirectory: config.cniBinFolderOnNode },
    }),
    configDirectory: config.cniConfigFolder,
    ...(config.cniConfigName === '' ? {} : { configName: config.cniConfigName }),
    ownedName: config.ownedConfigName || config.ownedConfigNameOfChart || OWNED_CONFIG_NAME,
    configMode: config.configGroupRead ? 0o640 : 0o600,
    plugin: pluginEntry({
      runDirectory: config.runFolder,
      ambientEnabled: config.enabled,
      enablementSelectors: config.selectors,
      excludeNamespaces: [...config.excludedNamespaces],
      podNamespace: config.podNamespace,
      agentWaitMs: config.pluginWaitMs,
      logLevel: config.pluginLogLevel,
      nativeNftables: config.nativeNftables,
    }),
    clock,
    log: log.scope('install'),
    onInstall,
  });
}
