/** TCP: bytes go back as they come; the greeting port says a line first, as SMTP and MySQL servers do. */
import { once } from 'node:events';
import { createServer, type Server, type Socket } from 'node:net';
import { describe, type Self } from '../about.ts';
import type { Lifecycle } from '../lifecycle.ts';

export async function serveTcp(
  self: Self,
  lifecycle: Lifecycle,
  port: number,
  greets: boolean,
): Promise<Server> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    if (greets) socket.write(`${JSON.stringify(describe(self, socket.remoteAddress, 'TCP'))}\n`);
    socket.pipe(socket);
  });
  server.listen(port, '::');
  await once(server, 'listening');
  lifecycle.onEnd(async () => {
    for (const socket of sockets) socket.end();
    await new Promise<void>((resolve) => server.close(() => resolve()));
  });
  return server;
}
