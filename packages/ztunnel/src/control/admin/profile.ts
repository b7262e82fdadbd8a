/**
 * A CPU profile of the control thread, in the format that Chrome's and VS Code's profilers open (`.cpuprofile`).
 *
 * One at a time: profiling slows the thread that answers DNS and the node agent.
 */
import { Session } from 'node:inspector/promises';
import type { Clock } from '@ambit/core/clock';
import type { HttpRequest, HttpResponse } from '@ambit/core/http-server';

const DEFAULT_SECONDS = 10;
const MAX_SECONDS = 300;
const DEFAULT_FREQUENCY_HZ = 100;
const MAX_FREQUENCY_HZ = 1_000;

export class Profiler {
  readonly #clock: Clock;
  #busy = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  async handle({ query, signal }: HttpRequest): Promise<HttpResponse> {
    const seconds = numberWithin(query.get('seconds'), DEFAULT_SECONDS, MAX_SECONDS);
    const frequency = numberWithin(query.get('frequency'), DEFAULT_FREQUENCY_HZ, MAX_FREQUENCY_HZ);
    if (seconds === undefined || frequency === undefined) {
      const body = `seconds is 1 to ${MAX_SECONDS}, frequency is 1 to ${MAX_FREQUENCY_HZ}\n`;
      return { status: 400, body };
    }
    if (this.#busy) return { status: 409, body: 'a profile is being taken already\n' };
    this.#busy = true;
    try {
      const profile = await this.#profile(seconds, frequency, signal);
      const headers = {
        'content-type': 'application/json',
        'content-disposition': 'attachment; filename="control.cpuprofile"',
      };
      return { status: 200, headers, body: JSON.stringify(profile) };
    } finally {
      this.#busy = false;
    }
  }

  async #profile(seconds: number, frequency: number, signal: AbortSignal): Promise<unknown> {
    const session = new Session();
    session.connect();
    try {
      await session.post('Profiler.enable');
      await session.post('Profiler.setSamplingInterval', { interval: Math.round(1e6 / frequency) });
      await session.post('Profiler.start');
      await this.#clock.sleep(seconds * 1_000, signal);
      const { profile } = await session.post('Profiler.stop');
      return profile;
    } finally {
      session.disconnect();
    }
  }
}

function numberWithin(text: string | null, fallback: number, max: number): number | undefined {
  if (text === null) return fallback;
  const value = Number(text);
  return /^[0-9]{1,4}$/.test(text) && value >= 1 && value <= max ? value : undefined;
}
