/**
 * A database-like service: on a new connection it speaks first, as MySQL and SMTP do; a proxy that waits for the client's
 * first byte would hang here.
 *
 * Argument: port to listen on.
 */
import { createServer } from 'node:net';

const [port = '5432'] = process.argv.slice(2);
const MAX_QUERY_CHARACTERS = 1_000;

createServer({ allowHalfOpen: true }, (socket) => {
  let query = '';
  socket.setEncoding('utf8');
  socket.setTimeout(10_000, () => socket.destroy());
  socket.on('error', () => socket.destroy());
  socket.on('data', (text: string) => {
    query += text;
    if (query.length > MAX_QUERY_CHARACTERS) socket.destroy();
  });
  socket.on('end', () => {
    const answer =
      query.trim() === 'SELECT items' ? 'plain-text-marmalade\nplain-text-teapot\n' : 'ERROR unknown query\n';
    socket.end(answer);
  });
  socket.write('READY ambit-demo-db 1.0\n');
}).listen(Number(port));

process.once('SIGTERM', () => process.exit(0));
