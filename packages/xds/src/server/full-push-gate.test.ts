import { describe, expect, test } from '@jest/globals';
import type { Clock } from '@ambit/core/clock';
import {
  FULL_PUSH_BRISK_MS,
  FULL_PUSH_MAX_MS,
  FULL_PUSHES_AT_A_TIME,
  MAX_UNREAD_FULL_PUSHES,
} from '../limits.ts';
import { FullPushGate } from './full-push-gate.ts';

/** A clock that stands until it is told to go on. */
function steppedClock() {
  let nowMs = 0;
  const timers = new Set<{ readonly atMs: number; readonly run: () => void }>();
  const after: Clock['after'] = (ms, run) => {
    const timer = { atMs: nowMs + ms, run };
    timers.add(timer);
    return { cancel: () => void timers.delete(timer) };
  };
  const pass = (ms: number) => {
    nowMs += ms;
    for (const timer of [...timers].sort((a, b) => a.atMs - b.atMs)) {
      if (timer.atMs > nowMs || !timers.delete(timer)) continue;
      timer.run();
    }
  };
  return { clock: { after } as Clock, pass };
}

interface Client {
  readonly name: number;
  cut: boolean;
  turn?: Disposable;
  queued?: Disposable;
}

function clients(gate: FullPushGate, count: number, from = 0) {
  return Array.from({ length: count }, (_, i) => {
    const client: Client = { name: from + i, cut: false };
    client.queued = gate.enter({
      granted: (turn) => {
        client.turn = turn;
      },
      cutOff: () => {
        client.cut = true;
        client.turn?.[Symbol.dispose]();
      },
    });
    return client;
  });
}

const served = (all: readonly Client[]) =>
  all.filter(({ turn }) => turn !== undefined).map(({ name }) => name);

describe('FullPushGate', () => {
  test('serves a few at a time, the others in the order they came', () => {
    const gate = new FullPushGate(steppedClock().clock);
    const all = clients(gate, FULL_PUSHES_AT_A_TIME + 2);
    expect(served(all)).toHaveLength(FULL_PUSHES_AT_A_TIME);
    all[2]?.turn?.[Symbol.dispose]();
    expect(served(all)).toHaveLength(FULL_PUSHES_AT_A_TIME + 1);
    all[2]?.turn?.[Symbol.dispose]();
    expect(all.at(-1)?.turn).toBeUndefined();
  });

  test('a client that reads slowly holds nobody up', () => {
    const { clock, pass } = steppedClock();
    const gate = new FullPushGate(clock);
    const slow = clients(gate, FULL_PUSHES_AT_A_TIME);
    const next = clients(gate, 1, 100);
    expect(served(next)).toEqual([]);
    pass(FULL_PUSH_BRISK_MS);
    expect(served(next)).toEqual([100]);
    expect(slow.some(({ cut }) => cut)).toBe(false);
  });

  test('so many may be slow; then the slowest goes, when others wait and not before', () => {
    const { clock, pass } = steppedClock();
    const gate = new FullPushGate(clock);
    const all = clients(gate, MAX_UNREAD_FULL_PUSHES);
    while (served(all).length < all.length) pass(FULL_PUSH_BRISK_MS);
    pass(FULL_PUSH_MAX_MS);
    expect(all.filter(({ cut }) => cut)).toEqual([]);
    const late = clients(gate, 1, 100);
    expect(all.filter(({ cut }) => cut).map(({ name }) => name)).toEqual([0]);
    expect(served(late)).toEqual([100]);
  });

  test('one that left before its turn is not served', () => {
    const gate = new FullPushGate(steppedClock().clock);
    const all = clients(gate, FULL_PUSHES_AT_A_TIME);
    const left = clients(gate, 1, 100);
    const stays = clients(gate, 1, 101);
    left[0]?.queued?.[Symbol.dispose]();
    all[0]?.turn?.[Symbol.dispose]();
    expect([served(left), served(stays)]).toEqual([[], [101]]);
  });
});
