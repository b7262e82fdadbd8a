/** `/logging`: what is logged, asked and changed while the process runs, as `istioctl ztunnel-config log` does it. */
import type { HttpRequest, HttpResponse } from '../http-server.ts';
import { formatLogFilter, type LogFilter } from '../log.ts';
import { logFilterWith } from '../config/log-filter.ts';

/** Istio's prints it in front of every filter, and its tools expect that. */
const ALWAYS = 'hickory_server::server=off';

const USAGE = `usage:
POST /logging                    (to list the current level)
POST /logging?level=<level>      (to change it; levels: off, error, warn, info, debug, trace)
POST /logging?level=<scope>=<level>,<scope>=<level>   (for parts of this process)
POST /logging?reset              (to go back to the level at start)
`;

export interface LogControl {
  readonly initial: LogFilter;
  current(): LogFilter;
  change(filter: LogFilter): void;
}

export function handleLogging(request: HttpRequest, control: LogControl): HttpResponse {
  if (request.method !== 'POST') {
    return { status: 405, body: `Invalid HTTP method ${request.method}, POST required\n${USAGE}` };
  }
  const level = request.query.get('level');
  const reset = request.query.has('reset');
  if (level !== null || reset) {
    const before = formatLogFilter(reset ? control.initial : control.current());
    const filter = logFilterWith(before, level ?? '');
    if (!filter || level === '')
      return { status: 400, body: `Invalid level provided: ${level ?? ''}\n${USAGE}` };
    control.change(filter);
  }
  return { status: 200, body: `current log level is ${ALWAYS},${formatLogFilter(control.current())}\n` };
}
