/** What serves until it is disposed of, and may be asked to come to an end before. */
export interface Draining extends Disposable {
  /**
   * Takes nothing that is new, and resolves when what had been taken is done, however it ended: soon after a disposal, or
   * else within the time that each piece of it has. Never rejects. Disposing is still up to the caller.
   */
  drain(): Promise<void>;
}
