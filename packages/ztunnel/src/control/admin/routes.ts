/** The admin pages on loopback: Istio's paths, and ours below `/debug`. */
import { handleLogging, type LogControl } from '@ambit/core/admin/logging';
import { adminPages, json, quitPage } from '@ambit/core/admin/pages';
import type { Profiler } from '@ambit/core/admin/profile';
import { sortedJson } from '@ambit/core/admin/sorted-json';
import type { HttpHandler, HttpResponse } from '@ambit/core/http-server';
import type { ConnectionReport, PodInfo } from '../../threads/messages.ts';
import type { ClearConnectionReport } from '../clear-connections.ts';

export interface AdminSources {
  readonly configDump: () => Promise<string>;
  /** Those that the proxy carries, and those that pass it by. */
  readonly connections: () => Promise<readonly (ConnectionReport | ClearConnectionReport)[]>;
  readonly pods: () => readonly { readonly info: PodInfo }[];
  readonly why: (query: URLSearchParams) => HttpResponse;
  readonly logging: LogControl;
  readonly profiler: Profiler;
  /** Asks the process to drain and end. */
  readonly shutdown: (reason: string) => void;
}

export function adminHandler(sources: AdminSources): HttpHandler {
  return adminPages('ztunnel', [
    {
      path: '/config_dump',
      doc: 'everything this proxy holds',
      handle: async () => ({ ...json(await sources.configDump()), compress: true }),
    },
    {
      path: '/logging',
      doc: 'POST: query and change what is logged',
      handle: (request) => handleLogging(request, sources.logging),
    },
    quitPage(sources.shutdown),
    {
      path: '/debug/pprof/profile',
      doc: 'CPU profile (seconds, frequency, thread=control or the number of a data worker)',
      handle: (request) => sources.profiler.handle(request),
    },
    {
      path: '/debug/connections',
      doc: 'open connections',
      handle: async () => json(await connectionList(sources)),
    },
    {
      path: '/debug/why',
      doc: 'what would become of a connection (source=NAMESPACE/POD, destination=HOST-OR-IP:PORT; in clear: captured=false, sourceIp)',
      handle: ({ query }) => sources.why(query),
    },
  ]);
}

async function connectionList({ connections, pods }: AdminSources): Promise<string> {
  const infos = new Map(pods().map(({ info }) => [info.uid, info]));
  const open = await connections();
  const rows = open.map((connection) => {
    const { name, namespace } = infos.get(connection.podUid) ?? { name: '', namespace: '' };
    return { ...connection, pod: name, namespace };
  });
  return `${sortedJson({ connections: rows })}\n`;
}
