import { expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { DEADLINE_TICK_MS, Deadlines, type Watched } from './deadlines.ts';
import { NOWHERE } from './roster.ts';

/** A clock that ticks when it is told to. */
function ticking(): { readonly clock: Clock; readonly tick: () => void } {
  let nowMs = 0;
  let onTick = () => {};
  const every = (_ms: number, run: () => void) => {
    onTick = run;
    return { cancel: () => {} };
  };
  const tick = () => {
    nowMs += DEADLINE_TICK_MS;
    onTick();
  };
  return { clock: { ...systemClock, monotonicMs: () => nowMs, every }, tick };
}

test('who is past due hears of it once a tick, unless the watch ended in the same one', () => {
  const { clock, tick } = ticking();
  const deadlines = new Deadlines(clock);
  const heard: string[] = [];
  const watch = (name: string, deadlineMs: number, onDeadline = () => {}): Watched => {
    const watched = {
      deadlineMs,
      watchPlace: NOWHERE,
      onDeadline: () => {
        heard.push(name);
        onDeadline();
      },
    };
    deadlines.watch(watched);
    return watched;
  };
  const first: Watched = watch('first', 1, () => deadlines.unwatch(second));
  const second: Watched = watch('second', 1, () => deadlines.unwatch(first));
  const late = watch('late', 2 * DEADLINE_TICK_MS);
  tick();
  expect(heard).toHaveLength(1);
  for (const gone of [first, second]) deadlines.unwatch(gone);
  heard.length = 0;
  for (let i = 0; i < 2; i++) tick();
  deadlines.unwatch(late);
  tick();
  expect(heard).toEqual(['late', 'late']);
});
