/**
 * The shop's front end: answers `/` with what the API says, and calls the API all the time by itself, as real traffic
 * would. `/stats` tells how many of those calls went well: the demo's proof that enrolling failed none of them.
 *
 * Arguments: port to listen on, URL of the API, milliseconds between calls; 0: it makes none by itself.
 */
import { createServer, get } from 'node:http';
import { report, stopwatch } from './report.ts';

const [port = '8080', apiUrl = 'http://api.shop/items', everyMs = '100'] = process.argv.slice(2);

const stats = { ok: 0, failed: 0, lastError: '' };

/** One request on a connection of its own, so that each meets the rules as they are at that moment. */
function callApi(done: (error: Error | undefined, body: string) => void): void {
  const elapsedMs = stopwatch();
  let reached = 'name not resolved';
  const fail = (error: Error) => {
    const { localPort } = request.socket ?? {};
    const from = localPort === undefined ? reached : `from port ${localPort}`;
    report(`request failed after ${elapsedMs()} ms, ${from}: ${error.message}`);
    done(error, '');
  };
  const request = get(apiUrl, { agent: false, timeout: 30_000 }, (response) => {
    const chunks: Buffer[] = [];
    response.on('data', (chunk: Buffer) => chunks.push(chunk));
    response.on('error', fail);
    response.on('end', () => {
      const body = Buffer.concat(chunks).toString();
      if (response.statusCode === 200) done(undefined, body);
      else fail(new Error(`status ${response.statusCode}`));
    });
  });
  request.on('socket', (socket) => {
    socket.on('lookup', (error: Error | null) => {
      if (!error) reached = 'not connected';
    });
  });
  request.on('timeout', () => request.destroy(new Error('no answer within 30 s')));
  request.on('error', fail);
}

function record(error: Error | undefined): void {
  if (!error) {
    stats.ok += 1;
    return;
  }
  stats.failed += 1;
  stats.lastError = error.message;
}

createServer((request, response) => {
  if (request.url === '/stats') {
    response.end(`${JSON.stringify(stats)}\n`);
    return;
  }
  callApi((error, body) => {
    response.statusCode = error ? 502 : 200;
    response.end(error ? `the API failed: ${error.message}\n` : `<h1>shop</h1>\n${body}`);
  });
}).listen(Number(port));

if (Number(everyMs) > 0) globalThis.setInterval(() => callApi(record), Number(everyMs));
process.once('SIGTERM', () => process.exit(0));
