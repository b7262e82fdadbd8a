/**
 * The control port: a suite orders single requests and loads here, and reads what became of them.
 *
 *   POST /request        a RequestOrder; answers with its RequestOutcome
 *   POST /loads          a LoadOrder; answers with {id}
 *   GET /loads/ID        its LoadReport, while it runs and afterwards
 *   POST /loads/ID/end   ends it and answers with the last report
 *   POST /amiss          what is wrong with its own answers from now on: an Amiss, or parts of one
 *   GET /clock           what the node's clock says: {nowMs}
 *   GET /first           the outcome of the request that the process made before it served
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Amiss, Self } from './about.ts';
import { Load } from './client/load.ts';
import { failureText, requestOnce } from './client/request.ts';
import type { Clock, LoadOrder, RequestOrder, RequestOutcome } from './messages.ts';

const MAX_BODY_BYTES = 64 * 1024;
const MAX_LOADS = 100;

/** An answer that is not 200. */
class ControlError extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export async function serveControl(
  self: Self,
  port: number,
  first: RequestOutcome | undefined,
): Promise<Server> {
  const loads = new Map<string, Load>();
  const server = createServer((request, response) => {
    void handle(self, request, loads, first).then(
      (answer) => reply(response, 200, answer),
      (error: unknown) =>
        reply(response, error instanceof ControlError ? error.status : 400, { error: failureText(error) }),
    );
  });
  server.listen(port, '::');
  await once(server, 'listening');
  return server;
}

function reply(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' });
  response.end(JSON.stringify(body));
}

async function handle(
  self: Self,
  request: IncomingMessage,
  loads: Map<string, Load>,
  first: RequestOutcome | undefined,
): Promise<unknown> {
  const [, place = '', id = '', verb = ''] = (request.url ?? '').split('/');
  switch (`${request.method} ${place}${id && '/ID'}${verb && `/${verb}`}`) {
    case 'GET clock':
      return { nowMs: Date.now() } satisfies Clock;
    case 'GET first':
      if (!first) throw new ControlError(404, 'no first request was ordered');
      return first;
    case 'POST amiss':
      self.amiss = { delayMs: 0, status: 0, ...((await bodyOf(request)) as Partial<Amiss>) };
      return self.amiss;
    case 'POST request':
      return await requestOnce((await bodyOf(request)) as RequestOrder);
    case 'POST loads':
      return { id: begin(loads, (await bodyOf(request)) as LoadOrder) };
    case 'GET loads/ID':
      return load(loads, id).report();
    case 'POST loads/ID/end':
      return await load(loads, id).end();
    default:
      throw new ControlError(404, `no such place: ${request.method} ${request.url}`);
  }
}

function begin(loads: Map<string, Load>, order: LoadOrder): string {
  if (loads.size >= MAX_LOADS) throw new ControlError(429, `more than ${MAX_LOADS} loads`);
  const id = String(loads.size + 1);
  loads.set(id, new Load(order));
  return id;
}

function load(loads: Map<string, Load>, id: string): Load {
  const found = loads.get(id);
  if (!found) throw new ControlError(404, `no load ${id}`);
  return found;
}

async function bodyOf(request: IncomingMessage): Promise<unknown> {
  let text = '';
  for await (const chunk of request) {
    text += String(chunk);
    if (text.length > MAX_BODY_BYTES) throw new ControlError(413, `more than ${MAX_BODY_BYTES} bytes`);
  }
  return JSON.parse(text) as unknown;
}
