import { beforeEach, expect, test } from '@jest/globals';
import { type Clock, systemClock } from '@ambit/core/clock';
import { silentLogger } from '@ambit/core/log';
import { EventTeller, type ObjectEvent } from './event-teller.ts';
import { EVENT_MESSAGE_MAX_CHARS, EVENTS_PER_MINUTE } from './limits.ts';
import type { KubeObject, Resource } from './resource.ts';
import { type Pod, pods } from './resources/core.ts';

interface CreatedEvent extends KubeObject {
  readonly message: string;
}

let nowMs: number;
let created: CreatedEvent[];
let events: EventTeller;
const clock: Clock = { ...systemClock, now: () => 1_800_000_000_000 + nowMs, monotonicMs: () => nowMs };

beforeEach(() => {
  nowMs = 0;
  created = [];
  const create = <T extends KubeObject>(_: Resource<T>, object: T): Promise<T> => {
    created.push(object as unknown as CreatedEvent);
    return Promise.reject(new Error('a namespace that ends takes no events'));
  };
  events = new EventTeller({
    client: { create },
    component: 'agent',
    instance: 'n1',
    clock,
    log: silentLogger,
  });
});

const pod = (uid: string): Pod => ({ metadata: { name: 'web', namespace: 'shop', uid } });
const failed = (about: string, message = about): ObjectEvent => ({
  type: 'Warning',
  reason: 'EnrolmentFailed',
  message,
  about,
});

test('the same of the same object is told again after ten minutes', () => {
  events.tell(pods, pod('u1'), failed('A', 'looked at 3'));
  events.tell(pods, pod('u1'), failed('A', 'looked at 4'));
  events.tell(pods, pod('u1'), failed('B'));
  events.tell(pods, pod('u2'), failed('A'));
  expect(created.map(({ message }) => message)).toEqual(['looked at 3', 'B', 'A']);
  nowMs = 600_000;
  events.tell(pods, pod('u1'), failed('A'));
  expect(created).toHaveLength(4);
  expect(new Set(created.map(({ metadata }) => metadata.name)).size).toBe(4);
});

test('a node on which everything fails tells a part of it', () => {
  for (let i = 0; i < 500; i += 1) events.tell(pods, pod(`u${i}`), failed('A'));
  expect(created).toHaveLength(EVENTS_PER_MINUTE);
  nowMs = 60_000;
  events.tell(pods, pod('u499'), failed('A'));
  expect(created).toHaveLength(EVENTS_PER_MINUTE + 1);
});

test('a long message is cut to what the API server takes', () => {
  events.tell(pods, pod('u1'), failed('A', 'x'.repeat(5_000)));
  expect(created[0]?.message).toBe(`${'x'.repeat(EVENT_MESSAGE_MAX_CHARS)}…`);
});
