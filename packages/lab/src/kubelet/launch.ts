/** How a container of a pod is started: its variables, its root, and the command line that leads into both. */
import { join } from 'node:path';
import type { Container, Pod } from '@ambit/kube/resources/core';
import type { Launch } from './container-process.ts';
import { environmentOf, expand } from './environment.ts';
import type { KubeletContext } from './kubelet.ts';
import type { PodNetwork } from './pod-network.ts';
import { programOf } from '../programs.ts';
import { enterRootCommand, layOutRoot, type Mount } from './pod-root.ts';
import { API_ACCESS_PATH, API_ACCESS_VOLUME, type PodVolumes, VolumeError } from './volumes.ts';

export interface LaunchInputs {
  readonly context: KubeletContext;
  readonly pod: Pod;
  readonly network: PodNetwork;
  readonly volumes: PodVolumes;
}

/** Lays the root out anew. @throws {@link VolumeError}, {@link MountError} saying what keeps it from starting. */
export async function prepareLaunch(inputs: LaunchInputs, container: Container): Promise<Launch> {
  const { context, pod, network, volumes } = inputs;
  const { namespace = 'default', name, uid = '' } = pod.metadata;
  const made = environmentOf(container, context.api, {
    pod,
    podIps: network.ips,
    hostIp: context.node.ip,
    cpus: context.cpus,
    ...(await context.lookUp(namespace, container)),
  });
  if ('missing' in made) throw new VolumeError(`${made.missing} does not exist`);
  const { env } = made;
  const command = container.command ?? programOf(context.programs, container.image ?? '');
  if (!command) {
    const why = 'the lab has no images to take it from';
    throw new VolumeError(`container ${container.name} has no command: ${why}`);
  }
  const words = [...command, ...(container.args ?? [])].map((word) => expand(word, env));
  const root = join(context.folder.podFolder(uid), 'roots', container.name);
  const hostname = pod.spec?.hostNetwork ? context.node.name : (pod.spec?.hostname ?? name);
  const mounts = layOutRoot({
    folder: root,
    hostname,
    resolvConf: context.resolvConf(namespace),
    hosts: `127.0.0.1 localhost\n::1 localhost\n${network.ips.map((ip) => `${ip} ${hostname}\n`).join('')}`,
    mounts: mountsOf(container, volumes),
  });
  const enter = enterRootCommand(root, mounts, container.workingDir ?? '/', words);
  return { command: ['nsenter', `--net=${network.path}`, ...enter], env };
}

function mountsOf(container: Container, volumes: PodVolumes): readonly Mount[] {
  const wanted = [
    ...(container.volumeMounts ?? []),
    { name: API_ACCESS_VOLUME.name, mountPath: API_ACCESS_PATH, subPath: '' },
  ];
  return wanted.map(({ name, mountPath, subPath = '' }) => {
    const from = volumes.pathOf(name);
    if (from === undefined)
      throw new VolumeError(`volume ${name} of container ${container.name} does not exist`);
    return { from: join(from, subPath), to: mountPath };
  });
}
