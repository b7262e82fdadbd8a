/** DNS over UDP on one address of a pod. */
import { createSocket } from 'node:dgram';
import { messageOf } from '@ambit/core/errors';
import type { Logger } from '@ambit/core/log';
import type { Resolver } from './resolver.ts';

/** Serves until disposed of; takes over the fd, which is bound. */
export function serveUdp(
  fd: number,
  family: 4 | 6,
  resolver: Pick<Resolver, 'answer'>,
  log: Logger,
): Disposable {
  let isServing = true;
  const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
  socket.on('error', (error) => log.debug('udp socket', { error: messageOf(error) }));
  socket.on('message', (question, from) => {
    resolver
      .answer(question, 'udp')
      .then((answer) => {
        if (answer === undefined || !isServing) return;
        socket.send(answer, from.port, from.address, (error) => {
          if (error) log.debug('answer not sent', { error: messageOf(error) });
        });
      })
      .catch((error: unknown) => log.error('question not answered', { error: messageOf(error) }));
  });
  socket.bind({ fd });
  return {
    [Symbol.dispose]: () => {
      isServing = false;
      socket.close();
    },
  };
}
