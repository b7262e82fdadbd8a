/** The admin pages on loopback. */
import { handleLogging, type LogControl } from '@ambit/core/admin/logging';
import { adminPages, quitPage } from '@ambit/core/admin/pages';
import type { Profiler } from '@ambit/core/admin/profile';
import type { HttpHandler, HttpResponse } from '@ambit/core/http-server';

export interface AdminSources {
  readonly configDump: (query: URLSearchParams) => HttpResponse;
  readonly why: (query: URLSearchParams) => Promise<HttpResponse>;
  readonly stats: () => string;
  readonly logging: LogControl;
  readonly profiler: Profiler;
  /** Asks the process to drain and end. */
  readonly shutdown: (reason: string) => void;
}

export function adminHandler(sources: AdminSources): HttpHandler {
  return adminPages('waypoint', [
    {
      path: '/config_dump',
      doc: 'everything this waypoint holds (part)',
      handle: ({ query }) => sources.configDump(query),
    },
    {
      path: '/debug/why',
      doc: 'what would become of a request (destination, identity or source, method, path, header, claims)',
      handle: ({ query }) => sources.why(query),
    },
    {
      path: '/stats',
      doc: 'counters',
      handle: () => ({ status: 200, body: sources.stats(), compress: true }),
    },
    {
      path: '/logging',
      doc: 'POST: query and change what is logged',
      handle: (request) => handleLogging(request, sources.logging),
    },
    {
      path: '/debug/pprof/profile',
      doc: 'CPU profile (seconds, frequency)',
      handle: (request) => sources.profiler.handle(request),
    },
    quitPage(sources.shutdown),
  ]);
}
