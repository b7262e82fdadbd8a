/** Reaching into running pods: commands, ports, logs. */
import { spawn } from 'node:child_process';
import { Socket } from 'node:net';
import { type Duplex, PassThrough, Readable } from 'node:stream';
import { MeshError } from '@ambit/core/errors';
import { tcpSocket } from '@ambit/linux/sockets';
import { lastLines } from './kubelet/log-file.ts';
import type { PodWorker } from './kubelet/pod-worker.ts';

const MAX_OUTPUT_BYTES = 4 * 1024 * 1024;

/** The pod, or its container, does not run here. */
export class NoSuchPodError extends MeshError {
  readonly code = 'NO_SUCH_POD';
  readonly side = 'downstream';

  constructor({ namespace, name }: PodName, what = 'does not run on any node of the lab') {
    super(`pod ${namespace}/${name} ${what}`);
  }
}

export interface PodName {
  readonly namespace: string;
  readonly name: string;
}

export interface PodOutcome {
  readonly status: number;
  /** What went to standard output and standard error, as it came. */
  readonly output: string;
}

/** Runs a command in the pod's first container. */
export async function runInPod(
  worker: PodWorker | undefined,
  pod: PodName,
  command: readonly string[],
  signal: AbortSignal,
): Promise<PodOutcome> {
  const container = worker?.container('');
  if (!worker || !container?.isRunning) throw new NoSuchPodError(pod);
  const [file = '', ...args] = worker.enter(container, command);
  const child = spawn(file, args, {
    env: container.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
    killSignal: 'SIGKILL',
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      if (output.length < MAX_OUTPUT_BYTES) output += text;
    });
  }
  const status = await new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve(code ?? 137));
  });
  return { status, output };
}

/** A connection to a port on the pod's loopback. */
export function dialPod(worker: PodWorker | undefined, pod: PodName, port: number): Promise<Duplex> {
  const netns = worker?.network?.netns;
  if (!netns) return Promise.reject(new NoSuchPodError(pod));
  const socket = new Socket({ fd: tcpSocket({ netnsFd: netns.fd, family: 4 }), allowHalfOpen: true });
  return new Promise((resolve, reject) => {
    socket.once('error', reject);
    socket.connect({ host: '127.0.0.1', port }, () => {
      socket.off('error', reject);
      resolve(socket);
    });
  });
}

export interface LogWish {
  readonly container: string;
  readonly follow: boolean;
  readonly tailLines?: number;
  readonly limitBytes?: number;
}

/** What a container has printed, and with `follow` what it prints from now on. Times are not kept. */
export function podLogs(worker: PodWorker | undefined, pod: PodName, wish: LogWish): Promise<Readable> {
  const log = worker?.container(wish.container)?.log;
  if (!log) return Promise.reject(new NoSuchPodError(pod));
  let text = log.read();
  if (wish.tailLines !== undefined) text = lastLines(text, wish.tailLines);
  if (wish.limitBytes !== undefined) text = text.subarray(0, wish.limitBytes);
  if (!wish.follow) return Promise.resolve(Readable.from(text.length > 0 ? [text] : []));
  const stream = new PassThrough();
  stream.write(text);
  // A reader that does not keep up loses lines rather than the lab its memory.
  const following = log.follow((chunk) => {
    if (stream.writableLength < MAX_OUTPUT_BYTES) stream.write(chunk);
  });
  stream.on('close', () => following[Symbol.dispose]());
  return Promise.resolve(stream);
}
