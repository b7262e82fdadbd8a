/** Answers to messages of one connection: they go out in the order of the messages, whichever is known first. */
import type { SeqpacketConnection } from '@ambit/linux/seqpacket';
import { MAX_UNDER_WAY } from './limits.ts';
import { encodeAck } from './messages.ts';

export class Answers {
  readonly #connection: SeqpacketConnection;
  /** Of those that have not gone out, the oldest first. */
  readonly #underWay: Promise<void>[] = [];

  constructor(connection: SeqpacketConnection) {
    this.#connection = connection;
  }

  /** @param text - Of the ack, empty for yes. Never rejects. */
  add(text: Promise<string>): void {
    const before = this.#underWay.at(-1);
    this.#underWay.push(
      (async () => {
        const answer = await text;
        await before;
        void this.#underWay.shift();
        try {
          this.#connection.send(encodeAck(answer));
        } catch {
          // Whoever reads from the connection hears of its end.
          this.#connection.close();
        }
      })(),
    );
  }

  /** Resolves when another message may be taken. */
  async room(): Promise<void> {
    while (this.#underWay.length >= MAX_UNDER_WAY) await this.#underWay[0];
  }

  /** Resolves when all have gone out. */
  async sent(): Promise<void> {
    await this.#underWay.at(-1);
  }
}
