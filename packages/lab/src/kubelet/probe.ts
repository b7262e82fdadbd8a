/** Asks a container whether it is well, from the node's network namespace as a kubelet does. */
import { spawn } from 'node:child_process';
import { request } from 'node:http';
import { Socket } from 'node:net';
import { messageOf } from '@ambit/core/errors';
import { familyOf, formatHostPort } from '@ambit/core/ip';
import type { Container, Probe } from '@ambit/kube/resources/core';
import { tcpSocket } from '@ambit/linux/sockets';
import { MAX_PROBE_ANSWER_BYTES } from './limits.ts';

export interface ProbeTarget {
  readonly container: Container;
  readonly ip: string;
  readonly nodeNetnsFd: number;
  /** Puts a command into the container. */
  readonly execCommand: (command: readonly string[]) => readonly string[];
}

/** Why the container is not well; `undefined` if it is. Never rejects. */
export async function runProbe(probe: Probe, target: ProbeTarget): Promise<string | undefined> {
  const signal = AbortSignal.timeout((probe.timeoutSeconds ?? 1) * 1_000);
  try {
    if (probe.httpGet) await httpGet(probe.httpGet, target, signal);
    else if (probe.tcpSocket) (await connect(portOf(probe.tcpSocket.port, target), target, signal)).destroy();
    else if (probe.exec) await runCommand(target.execCommand(probe.exec.command ?? []), signal);
    return undefined;
  } catch (error) {
    return signal.aborted ? 'no answer in time' : messageOf(error);
  }
}

async function httpGet(
  { path = '/', port, host }: NonNullable<Probe['httpGet']>,
  target: ProbeTarget,
  signal: AbortSignal,
): Promise<void> {
  const number = portOf(port, target);
  const socket = await connect(number, target, signal);
  try {
    const status = await new Promise<number>((resolve, reject) => {
      const headers = { host: host ?? formatHostPort(target.ip, number), 'user-agent': 'kube-probe/lab' };
      const asked = request({ path, headers, signal, createConnection: () => socket }, (answer) => {
        let size = 0;
        answer.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_PROBE_ANSWER_BYTES) answer.destroy();
        });
        answer.on('close', () => resolve(answer.statusCode ?? 0));
      });
      asked.on('error', reject);
      asked.end();
    });
    if (status < 200 || status >= 400) throw new Error(`HTTP status ${status}`);
  } finally {
    socket.destroy();
  }
}

function connect(port: number, { ip, nodeNetnsFd }: ProbeTarget, signal: AbortSignal): Promise<Socket> {
  const socket = new Socket({ fd: tcpSocket({ netnsFd: nodeNetnsFd, family: familyOf(ip) }), signal });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.connect({ host: ip, port }, () => resolve(socket));
  });
}

function runCommand(command: readonly string[], signal: AbortSignal): Promise<void> {
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: 'ignore', signal, killSignal: 'SIGKILL' });
    child.on('error', reject);
    child.on('exit', (status) => (status === 0 ? resolve() : reject(new Error(`exit status ${status}`))));
  });
}

function portOf(port: number | string, { container }: ProbeTarget): number {
  if (typeof port === 'number') return port;
  const named = container.ports?.find(({ name }) => name === port)?.containerPort;
  if (named === undefined && !/^\d+$/.test(port))
    throw new Error(`container ${container.name} has no port ${port}`);
  return named ?? Number(port);
}
