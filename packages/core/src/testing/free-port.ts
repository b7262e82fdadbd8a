/** A port for a test that must know it before anything listens there. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { systemRandom } from '../clock.ts';

const FROM = 12_000;
const COUNT = 16_000;
const ATTEMPTS = 100;

/**
 * A port of loopback that nobody has at this moment, over UDP or TCP. Below the ports that the kernel gives to connections,
 * so that none takes it before the caller does.
 */
export async function freePort(ip = '127.0.0.1'): Promise<number> {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const port = FROM + Math.floor(systemRandom() * COUNT);
    const udp = createSocket('udp4');
    const tcp = createServer();
    try {
      udp.bind(port, ip);
      await once(udp, 'listening');
      tcp.listen(port, ip);
      await once(tcp, 'listening');
      return port;
    } catch {
      // Somebody has it.
    } finally {
      udp.close();
      if (tcp.listening) await new Promise((resolve) => tcp.close(resolve));
    }
  }
  throw new Error(`no free port on ${ip}`);
}
