/** The admin pages on loopback: Istio's paths, and ours below `/debug`. */
import type { HttpHandler, HttpRequest, HttpResponse } from '@ambit/core/http-server';
import type { ConnectionReport, PodInfo } from '../../threads/messages.ts';
import type { ClearConnectionReport } from '../clear-connections.ts';
import { handleLogging, type LogControl } from './logging.ts';
import type { Profiler } from './profile.ts';
import { sortedJson } from './sorted-json.ts';

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

interface Page {
  readonly path: string;
  readonly doc: string;
  readonly handle: (request: HttpRequest) => HttpResponse | Promise<HttpResponse>;
}

export function adminHandler(sources: AdminSources): HttpHandler {
  const pages: readonly Page[] = [
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
    {
      path: '/quitquitquit',
      doc: 'POST: shut down gracefully',
      handle: ({ method }) => quit(method, sources.shutdown),
    },
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
  ];
  const byPath = new Map(pages.map((page) => [page.path, page]));
  return (request) => {
    if (request.path === '/') return index(pages);
    const page = byPath.get(request.path);
    return page ? page.handle(request) : { status: 404, body: 'Not Found\n' };
  };
}

export function json(body: string): HttpResponse {
  return { status: 200, headers: { 'content-type': 'application/json' }, body };
}

function quit(method: string, shutdown: AdminSources['shutdown']): HttpResponse {
  if (method !== 'POST') return { status: 405, body: `Invalid HTTP method ${method}, POST required\n` };
  shutdown('/quitquitquit');
  return { status: 200, body: 'shutdown now\n' };
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

function index(pages: readonly Page[]): HttpResponse {
  const rows = pages.map(({ path, doc }) => `<li><a href="${path}">${path}</a>: ${doc}</li>`);
  return {
    status: 200,
    headers: { 'content-type': 'text/html; charset=utf-8' },
    body: `<!DOCTYPE html>\n<title>ztunnel</title>\n<h1>ztunnel</h1>\n<ul>\n${rows.join('\n')}\n</ul>\n`,
  };
}
