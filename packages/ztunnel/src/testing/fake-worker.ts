/** A data worker that opens nothing: does at once what it is told, or what a test tells it to do instead. */
import { EventEmitter } from 'node:events';
import type { WorkerThread } from '../control/worker-pool.ts';
import type { ControlToWorker, WorkerToControl } from '../threads/messages.ts';

/** `undefined`: no answer. */
type Reply = (message: ControlToWorker) => readonly WorkerToControl[];

export class FakeWorker extends EventEmitter implements WorkerThread {
  readonly received: ControlToWorker[] = [];
  readonly #reply: Reply;
  terminated = false;

  constructor(reply: Reply = obedient) {
    super();
    this.#reply = reply;
    queueMicrotask(() => this.say({ kind: 'ready' }));
  }

  postMessage(message: ControlToWorker): void {
    const copy = structuredClone(message);
    this.received.push(copy);
    queueMicrotask(() => {
      for (const answer of this.#reply(copy)) this.say(answer);
    });
  }

  say(message: WorkerToControl): void {
    this.emit('message', message);
  }

  async terminate(): Promise<void> {
    this.terminated = true;
  }

  /** What it was told, in order: `start-pod u1`. */
  get heard(): readonly string[] {
    return this.received.map((message) => {
      if (message.kind === 'start-pod') return `start-pod ${message.pod.uid} ${message.netnsFd ?? 'own'}`;
      if (message.kind === 'stop-pod') return `stop-pod ${message.uid} ${message.deadlineMs}`;
      if (message.kind === 'certificate' || message.kind === 'forget-certificate') {
        return `${message.kind} ${message.identity}`;
      }
      if (message.kind === 'certificate-failed')
        return `certificate-failed ${message.identity}: ${message.reason}`;
      return message.kind;
    });
  }
}

export const obedient: Reply = (message) => {
  switch (message.kind) {
    case 'start-pod':
      return [{ kind: 'pod-started', uid: message.pod.uid }];
    case 'stop-pod':
      return [{ kind: 'pod-stopped', uid: message.uid }];
    case 'mesh-delta':
      return [{ kind: 'mesh-applied', version: message.version }];
    case 'drain':
      return [{ kind: 'draining' }, { kind: 'drained' }];
    case 'ask':
      return message.question.what === 'connections'
        ? [{ kind: 'answer', id: message.id, connections: [] }]
        : [{ kind: 'answer', id: message.id, metrics: [] }];
    default:
      return [];
  }
};
