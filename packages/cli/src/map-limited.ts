/** The same question about many things, a few at a time; answers in the order of the things. */

/** Rejects with the first failure, after which no further one is begun. */
export async function mapLimited<T, R>(
  things: readonly T[],
  atOnce: number,
  ask: (thing: T) => Promise<R>,
): Promise<readonly R[]> {
  const answers: R[] = [];
  const waiting = things.entries();
  let failed = false;
  const work = async () => {
    for (const [i, thing] of waiting) {
      if (failed) return;
      try {
        answers[i] = await ask(thing);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, things.length) }, work));
  return answers;
}
