/**
 * The shop's API: `/items` asks the database over a TCP protocol in which the server speaks first.
 *
 * Arguments: port to listen on, host and port of the database.
 */
import { createServer } from 'node:http';
import { connect } from 'node:net';

const [port = '8080', databaseHost = 'db.shop', databasePort = '5432'] = process.argv.slice(2);

/** Waits for the greeting, asks, and gives the answer up to the end of the connection. */
function queryItems(done: (error: Error | undefined, items: string) => void): void {
  const socket = connect({ host: databaseHost, port: Number(databasePort), timeout: 5_000 });
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
  socket.on('timeout', () => socket.destroy(new Error('the database did not answer within 5 s')));
  socket.on('error', (error) => done(error, ''));
  socket.on('end', () => done(undefined, received));
}

createServer((request, response) => {
  if (request.url !== '/items') {
    response.statusCode = 404;
    response.end('no such thing\n');
    return;
  }
  queryItems((error, items) => {
    response.statusCode = error ? 503 : 200;
    response.setHeader('connection', 'close');
    response.end(error ? `the database failed: ${error.message}\n` : items);
  });
}).listen(Number(port));

process.once('SIGTERM', () => process.exit(0));
