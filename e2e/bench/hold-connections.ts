/**
 * Opens TCP connections, says `open` when all are, and holds them until its standard input ends.
 *
 * Arguments: address, port, how many.
 */
import { connect, type Socket } from 'node:net';

const [host = '', port = '', count = ''] = process.argv.slice(2);
const PARALLEL = 50;

const sockets: Socket[] = [];
let started = 0;
let open = 0;

function next(): void {
  if (started >= Number(count)) return;
  started += 1;
  const socket = connect({ host, port: Number(port) });
  sockets.push(socket);
  socket.on('connect', () => socket.write('PING\r\n'));
  socket.on('error', (error) => {
    process.stderr.write(`${error.message}\n`);
    process.exit(1);
  });
  socket.once('data', () => {
    open += 1;
    if (open === Number(count)) process.stdout.write('open\n');
    next();
  });
}

for (let i = 0; i < PARALLEL; i++) next();
process.stdin.resume();
process.stdin.on('end', () => process.exit(0));
