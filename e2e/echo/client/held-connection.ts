/** A connection that a load holds, opened anew where the other side closed it between two questions. */
import type { LoadOrder } from '../messages.ts';
import { type Answer, ClosedWhileIdleError, type Conversation } from './conversation.ts';
import { DEFAULT_TIMEOUT_MS, dial, within } from './request.ts';

/** One place of a load: questions wait for those before them. */
export class HeldConnection {
  readonly #order: LoadOrder;
  #conversation: Conversation | undefined;
  #last: Promise<unknown> = Promise.resolve();
  #opened = 0;
  #crossed = 0;

  constructor(order: LoadOrder) {
    this.#order = order;
  }

  get reopened(): number {
    return Math.max(0, this.#opened - 1);
  }

  get crossed(): number {
    return this.#crossed;
  }

  ask(): Promise<Answer> {
    const answer = this.#last.then(() => this.#ask());
    // Whoever asked hears of a failure; the next question is asked all the same.
    this.#last = answer.catch(() => undefined);
    return answer;
  }

  close(): void {
    this.#conversation?.close();
  }

  async #ask(): Promise<Answer> {
    return await within(this.#order.timeoutMs ?? DEFAULT_TIMEOUT_MS, async (signal) => {
      try {
        return await this.#askOn(signal);
      } catch (error) {
        if (!(error instanceof ClosedWhileIdleError)) throw error;
        this.#crossed++;
        return await this.#askOn(signal);
      }
    });
  }

  async #askOn(signal: AbortSignal): Promise<Answer> {
    const conversation = await this.#open(signal);
    try {
      return await conversation.ask(signal);
    } catch (error) {
      this.#drop();
      throw error;
    }
  }

  async #open(signal: AbortSignal): Promise<Conversation> {
    if (this.#conversation?.isClosed) this.#drop();
    if (this.#conversation) return this.#conversation;
    this.#opened++;
    this.#conversation = await dial(this.#order, true, signal);
    return this.#conversation;
  }

  #drop(): void {
    this.#conversation?.close();
    this.#conversation = undefined;
  }
}
