/**
 * A CPU profile of one thread, in the format that Chrome's and VS Code's profilers open (`.cpuprofile`).
 *
 * One at a time: profiling slows the thread that it looks at. Data workers are reached through Node's inspector, which
 * this process opens to itself alone; no port is opened.
 */
import { Session } from 'node:inspector/promises';
import type { Clock } from '../clock.ts';
import { MeshError } from '../errors.ts';
import type { HttpRequest, HttpResponse } from '../http-server.ts';

const DEFAULT_SECONDS = 10;
const MAX_SECONDS = 300;
const DEFAULT_FREQUENCY_HZ = 100;
const MAX_FREQUENCY_HZ = 1_000;
const INSPECTOR_TIMEOUT_MS = 5_000;

/** A thread could not be profiled. */
export class ProfileError extends MeshError {
  readonly code = 'PROFILE';
  readonly side = 'internal';
}

/** Speaks the inspector's protocol with one thread. */
interface Inspected {
  post(method: string, params?: object): Promise<unknown>;
}

export class Profiler {
  readonly #clock: Clock;
  #busy = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async handle({ query, signal }: HttpRequest): Promise<HttpResponse> {
    const seconds = numberWithin(query.get('seconds'), DEFAULT_SECONDS, MAX_SECONDS);
    const frequency = numberWithin(query.get('frequency'), DEFAULT_FREQUENCY_HZ, MAX_FREQUENCY_HZ);
    const thread = query.get('thread') ?? 'control';
    if (seconds === undefined || frequency === undefined || !/^(control|[0-9]{1,3})$/.test(thread)) {
      const body = `seconds is 1 to ${MAX_SECONDS}, frequency is 1 to ${MAX_FREQUENCY_HZ}, thread is control or the number of a data worker\n`;
      return { status: 400, body };
    }
    if (this.#busy) return { status: 409, body: 'a profile is being taken already\n' };
    this.#busy = true;
    try {
      const profile = await this.#profile(thread, seconds, frequency, signal);
      const headers = {
        'content-type': 'application/json',
        'content-disposition': `attachment; filename="${thread}.cpuprofile"`,
      };
      return { status: 200, headers, body: JSON.stringify(profile) };
    } finally {
      this.#busy = false;
    }
  }

  async #profile(thread: string, seconds: number, frequency: number, signal: AbortSignal): Promise<unknown> {
    const session = new Session();
    session.connect();
    try {
      const inspected: Inspected =
        thread === 'control' ? session : await this.#workerSession(session, Number(thread));
      await inspected.post('Profiler.enable');
      await inspected.post('Profiler.setSamplingInterval', { interval: Math.round(1e6 / frequency) });
      await inspected.post('Profiler.start');
      await this.#clock.sleep(seconds * 1_000, signal);
      const answer = await inspected.post('Profiler.stop');
      return typeof answer === 'object' && answer !== null && 'profile' in answer
        ? answer.profile
        : undefined;
    } finally {
      session.disconnect();
    }
  }

  /** Workers are told apart by the order in which they were started. */
  async #workerSession(session: Session, index: number): Promise<Inspected> {
    const attached: string[] = [];
    session.on('NodeWorker.attachedToWorker', ({ params }) => attached.push(params.sessionId));
    await session.post('NodeWorker.enable', { waitForDebuggerOnStart: false });
    const sessionId = attached[index];
    if (sessionId === undefined)
      throw new ProfileError(`there are ${attached.length} data workers, counted from 0`);
    const waiting = new Map<number, (answer: unknown) => void>();
    session.on('NodeWorker.receivedMessageFromWorker', ({ params }) => {
      if (params.sessionId !== sessionId) return;
      const { id, result } = JSON.parse(params.message) as { id?: number; result?: unknown };
      if (id !== undefined) waiting.get(id)?.(result);
    });
    let sent = 0;
    return {
      post: async (method, params = {}) => {
        sent += 1;
        const id = sent;
        const { promise, resolve, reject } = Promise.withResolvers<unknown>();
        waiting.set(id, resolve);
        const late = this.#clock.after(INSPECTOR_TIMEOUT_MS, () =>
          reject(new ProfileError(`data worker ${index} did not answer the inspector in time`)),
        );
        await session.post('NodeWorker.sendMessageToWorker', {
          sessionId,
          message: JSON.stringify({ id, method, params }),
        });
        return await promise.finally(() => late.cancel());
      },
    };
  }
}

function numberWithin(text: string | null, fallback: number, max: number): number | undefined {
  if (text === null) return fallback;
  const value = Number(text);
  return /^[0-9]{1,4}$/.test(text) && value >= 1 && value <= max ? value : undefined;
}
