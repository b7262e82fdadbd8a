/**
 * The shop's API: `/items` asks the database over a TCP protocol in which the server speaks first. `/version` says which
 * version this is, `/headers` what it was asked with, and `/flaky` fails two times of three.
 *
 * Arguments: port to listen on, host and port of the database, the version.
 */
import { createServer, type ServerResponse } from 'node:http';
import { connect } from 'node:net';
import { report, stopwatch } from './report.ts';

const [port = '8080', databaseHost = 'db.shop', databasePort = '5432', version = 'one'] =
  process.argv.slice(2);

/** Waits for the greeting, asks, and gives the answer up to the end of the connection. */
function queryItems(done: (error: Error | undefined, items: string) => void): void {
  const socket = connect({ host: databaseHost, port: Number(databasePort), timeout: 30_000 });
  const elapsedMs = stopwatch();
  let reached = 'name not resolved';
  socket.on('lookup', (error: Error | null) => {
    if (!error) reached = 'not connected';
  });
  socket.on('connect', () => {
    reached = `from port ${socket.localPort ?? 0}`;
  });
  let received = '';
  let asked = false;
  socket.setEncoding('utf8');
  socket.on('data', (text: string) => {
    received += text;
    if (asked || !received.includes('\n')) return;
    asked = true;
    received = received.slice(received.indexOf('\n') + 1);
    socket.end('SELECT items\n');
  });
  socket.on('timeout', () => socket.destroy(new Error('the database did not answer within 30 s')));
  socket.on('error', (error) => {
    report(`database failed after ${elapsedMs()} ms, ${reached}: ${error.message}`);
    done(error, '');
  });
  socket.on('end', () => done(undefined, received));
}

let flakyAsked = 0;

function answer(response: ServerResponse, status: number, text: string): void {
  response.statusCode = status;
  response.end(`${text}\n`);
}

createServer((request, response) => {
  switch (request.url) {
    case '/items':
      queryItems((error, items) => {
        response.statusCode = error ? 503 : 200;
        response.setHeader('connection', 'close');
        response.end(error ? `the database failed: ${error.message}\n` : items);
      });
      return;
    case '/version':
      return answer(response, 200, `version ${version}`);
    case '/headers':
      return answer(response, 200, JSON.stringify(request.headers));
    case '/flaky':
      flakyAsked += 1;
      return flakyAsked % 3 === 0 ? answer(response, 200, 'well') : answer(response, 503, 'not well');
    default:
      return answer(response, 404, 'no such thing');
  }
}).listen(Number(port));

process.once('SIGTERM', () => process.exit(0));
