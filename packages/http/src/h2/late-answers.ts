/**
 * Server: answers that go out with what is said behind them.
 *
 * A client that has said something with its request, and goes on whether it is answered or not, gains nothing from an
 * answer that comes alone, which costs a TLS record and wakes both ends once more. So that answer waits for the first data
 * in its direction, or the end. It goes at once if the client is out of what it may say before it, says more, or ends; and
 * after a while in any case, since clients wait for it only so long.
 */
import type { Clock, Timer } from '@ambit/core/clock';
import type { HeaderField } from '../hpack/encoder.ts';
import { LATE_ANSWER_MS } from '../limits.ts';
import type { PeerSettings } from './settings.ts';
import type { H2Stream } from './stream.ts';

export interface LateAnswersHost {
  readonly streams: { values(): Iterable<H2Stream> };
  sendHeaders(stream: H2Stream, fields: readonly HeaderField[], endStream: boolean): void;
}

export class LateAnswers {
  readonly #host: LateAnswersHost;
  readonly #peer: PeerSettings;
  readonly #clock: Clock;
  #timer: Timer | undefined;

  constructor(host: LateAnswersHost, peer: PeerSettings, clock: Clock) {
    this.#host = host;
    this.#peer = peer;
    this.#clock = clock;
  }

  /** The stream's answer is `fields`. */
  answer(stream: H2Stream, fields: readonly HeaderField[]): void {
    stream.lateAnswer = fields;
    if (this.#peer.earlyDataBytes === 0) this.send(stream);
    else queueMicrotask(() => this.#look(stream));
  }

  /** Something is about to go out behind the answer, or makes it urgent. */
  send(stream: H2Stream): void {
    const fields = stream.lateAnswer;
    if (!fields) return;
    stream.lateAnswer = undefined;
    this.#host.sendHeaders(stream, fields, false);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** What came together with the request is here by now. */
  #look(stream: H2Stream): void {
    const said = stream.receivedBytes;
    if (said === 0 || said >= this.#peer.earlyDataBytes) this.send(stream);
    else if (stream.lateAnswer) this.#timer ??= this.#clock.after(LATE_ANSWER_MS, () => this.#sendAll());
  }

  #sendAll(): void {
    this.#timer = undefined;
    for (const stream of this.#host.streams.values()) this.send(stream);
  }
}
