/** DNS over UDP on one address of a pod. */
import { createSocket } from 'node:dgram';
import { setImmediate } from 'node:timers/promises';
import { messageOf } from '@ambit/core/errors';
import { familyOf } from '@ambit/core/ip';
import type { Logger } from '@ambit/core/log';
import { retireUdp } from '@ambit/linux/sockets';
import type { Draining } from './draining.ts';
import type { Resolver } from './resolver.ts';

/** Serves until disposed of; takes over the fd, which is bound to `ip`. */
export function serveUdp(fd: number, ip: string, resolver: Pick<Resolver, 'answer'>, log: Logger): Draining {
  let isServing = true;
  let received = 0;
  let underWay = 0;
  let whenAnswered: (() => void) | undefined;
  const answered = () => {
    underWay -= 1;
    if (underWay === 0) whenAnswered?.();
  };
  const socket = createSocket(familyOf(ip) === 4 ? 'udp4' : 'udp6');
  socket.on('error', (error) => log.debug('udp socket', { error: messageOf(error) }));
  socket.on('message', (question, from) => {
    received += 1;
    underWay += 1;
    resolver
      .answer(question, 'udp')
      .then((answer) => {
        if (answer === undefined || !isServing) {
          answered();
          return;
        }
        socket.send(answer, from.port, from.address, (error) => {
          if (error) log.debug('answer not sent', { error: messageOf(error) });
          answered();
        });
      })
      .catch((error: unknown) => {
        log.error('question not answered', { error: messageOf(error) });
        answered();
      });
  });
  socket.bind({ fd });
  return {
    drain: async () => {
      if (isServing) tryRetire(fd, ip, log);
      for (let seen = -1; seen !== received && isServing; ) {
        seen = received;
        // The second turn of the loop looks at the socket for certain; it may take a part of what waits there.
        await setImmediate();
        await setImmediate();
      }
      if (underWay > 0) {
        await new Promise<void>((resolve) => {
          whenAnswered = resolve;
        });
      }
    },
    [Symbol.dispose]: () => {
      isServing = false;
      socket.close();
    },
  };
}

/** In a pod that is over, whose loopback the runtime has taken down, there is no way to anywhere: nor does anybody ask. */
function tryRetire(fd: number, ip: string, log: Logger): void {
  try {
    retireUdp(fd, ip);
  } catch (error) {
    log.debug('udp socket keeps its port to the end', { error: messageOf(error) });
  }
}
