/**
 * `/config_dump`: everything this proxy holds, in the shape that `istioctl ztunnel-config` reads. Never a private key.
 */
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { CertificateState } from '@ambit/identity/certificate-store';
import { dumpCertificates } from '@ambit/identity/dump';
import { dumpLocalFile, dumpMesh } from '@ambit/model/dump';
import { Interner } from '@ambit/model/intern';
import { readLocalMesh } from '@ambit/model/local-file';
import type { MeshStore } from '@ambit/model/store';
import type { ConnectionReport, PodInfo } from '../../threads/messages.ts';
import { sortedJson } from '@ambit/core/admin/sorted-json';

export interface DumpSources {
  readonly mesh: MeshStore;
  readonly certificates: () => readonly CertificateState[];
  readonly pods: () => readonly { readonly info: PodInfo; readonly state: 'Pending' | 'Up' }[];
  readonly connections: () => Promise<readonly ConnectionReport[]>;
  /** The local mesh as it is now; `undefined`: there is none. */
  readonly localFile: () => { readonly text: string; readonly file: string } | undefined;
  readonly config: Readonly<Record<string, unknown>>;
  readonly version: Readonly<Record<string, string>>;
  /** Whether pods come from a node agent. */
  readonly shared: boolean;
  readonly log: Logger;
}

export async function configDump(sources: DumpSources): Promise<string> {
  const dump = {
    ...dumpMesh(sources.mesh),
    certificates: dumpCertificates(sources.certificates()),
    config: sources.config,
    staticConfig: staticConfig(sources),
    version: sources.version,
    ...(sources.shared ? { workloadState: await workloadState(sources) } : {}),
  };
  return `${sortedJson(dump)}\n`;
}

function staticConfig({ localFile, log }: DumpSources): unknown {
  const nothing = { policies: [], services: [], workloads: [] };
  try {
    const local = localFile();
    return local ? dumpLocalFile(readLocalMesh(local.text, local.file, new Interner())) : nothing;
  } catch (error) {
    log.warn('local mesh cannot be read for the dump', { error: messageOf(error) });
    return nothing;
  }
}

async function workloadState({ pods, connections }: DumpSources): Promise<Record<string, unknown>> {
  const byPod = Map.groupBy(await connections(), ({ podUid }) => podUid);
  return Object.fromEntries(
    pods().map(({ info: { uid, name, namespace, serviceAccount }, state }) => {
      const open = byPod.get(uid) ?? [];
      const of = (direction: ConnectionReport['direction']) =>
        open.filter((connection) => connection.direction === direction).map(dumpConnection);
      const shown = open.length === 0 ? undefined : { inbound: of('inbound'), outbound: of('outbound') };
      return [uid, { state, info: { name, namespace, serviceAccount }, connections: shown }];
    }),
  );
}

function dumpConnection({ src, originalDst, actualDst, protocol }: ConnectionReport) {
  return { src, originalDst: originalDst ?? null, actualDst, protocol };
}
