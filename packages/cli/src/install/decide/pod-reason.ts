/**
 * Why a pod is not ready, by its status alone: what its containers wait for, how often they ended and by what.
 *
 * An event from before a container's last run began is about what has passed: a volume that was late when the pod began
 * explains no restart. Of a container that ended, the last run is the one that ended: its cause is noted before it ends.
 */
import { type JsonObject, listOf, numberOf, objectOf, textOf } from '../../json-value.ts';
import { MAX_REASON_CHARS } from '../../limits.ts';
import { printable } from '../../table.ts';
import type { Pod } from '@ambit/kube/resources/core';

/** What a pod that is not ready waits for. */
export function podReason(pod: Pod): string {
  const waiting = statusesOf(pod)
    .map(({ state }) => objectOf(objectOf(state)['waiting']))
    .find(({ reason }) => reason !== undefined);
  if (waiting)
    return `waits: ${textOf(waiting['reason'])}${waiting['message'] ? `, ${printable(textOf(waiting['message']), MAX_REASON_CHARS)}` : ''}`;
  const { status } = pod;
  const condition = status?.conditions?.find(({ status: is, message }) => is === 'False' && Boolean(message));
  return condition ? `is not ready: ${condition.message}` : `is ${status?.phase ?? 'not started'}`;
}

/** Of each container that is not ready and ended before: how often, when and by what last, and where its last words are. */
export function endsOf(pod: Pod, nowMs: number): readonly string[] {
  const { name: podName, namespace = '' } = pod.metadata;
  return unreadyOf(pod).flatMap((one) => {
    const isOver = endOf(one, 'state') !== undefined;
    const end = lastEndOf(one);
    if (!end) return [];
    const { name, restartCount } = one;
    const restarts = numberOf(restartCount) ?? 0;
    const times = restarts === 0 ? '' : ` (${restarts} ${restarts === 1 ? 'restart' : 'restarts'})`;
    const logs = `kubectl logs -n ${namespace} ${podName} -c ${textOf(name)}${isOver ? '' : ' --previous'}`;
    return [
      `container ${textOf(name)} ended${agoOf(timeOf(end['finishedAt']), nowMs)} with ${causeOf(end)}${times}; "${logs}" has its last words`,
    ];
  });
}

/** Of every restart: they come after the cause of an end, and say nothing of it. */
const RESTARTS: readonly string[] = ['Pulling', 'Pulled', 'Created', 'Started', 'BackOff'];

/** Which events may tell why a pod is not ready. */
export interface TellingEvents {
  /** Before this, they tell of what has passed; `undefined`: some container has not begun yet. */
  readonly sinceMs: number | undefined;
  /** Reasons of those that tell nothing. */
  readonly without: readonly string[];
}

export function tellingEvents(pod: Pod): TellingEvents {
  const unready = unreadyOf(pod);
  const oldestMs = Math.min(...unready.map((one) => lastRunMs(one) ?? Number.NEGATIVE_INFINITY));
  return {
    sinceMs: Number.isFinite(oldestMs) ? oldestMs : undefined,
    without: unready.some((one) => lastEndOf(one) !== undefined) ? RESTARTS : [],
  };
}

/** When the run began that ended last; of a container that never ended, the one that it is in. */
function lastRunMs(container: JsonObject): number | undefined {
  const end = lastEndOf(container);
  if (end) return timeOf(end['startedAt']) ?? timeOf(end['finishedAt']);
  return timeOf(objectOf(objectOf(container['state'])['running'])['startedAt']);
}

function statusesOf({ status }: Pod): readonly JsonObject[] {
  return listOf(objectOf(status)['containerStatuses']).map(objectOf);
}

function unreadyOf(pod: Pod): readonly JsonObject[] {
  return statusesOf(pod).filter(({ ready }) => ready !== true);
}

function endOf(container: JsonObject, name: 'state' | 'lastState'): JsonObject | undefined {
  const { terminated } = objectOf(container[name]);
  return terminated === undefined ? undefined : objectOf(terminated);
}

function lastEndOf(container: JsonObject): JsonObject | undefined {
  return endOf(container, 'state') ?? endOf(container, 'lastState');
}

/** `OOMKilled, exit code 137`: that of a signal is 128 and its number. */
function causeOf({ reason, exitCode }: JsonObject): string {
  const code = numberOf(exitCode);
  return (
    [textOf(reason), code === undefined ? '' : `exit code ${code}`].filter(Boolean).join(', ') || 'no reason'
  );
}

function timeOf(value: unknown): number | undefined {
  const timeMs = Date.parse(textOf(value));
  return Number.isNaN(timeMs) ? undefined : timeMs;
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['min', 60_000],
] as const;

function agoOf(timeMs: number | undefined, nowMs: number): string {
  if (timeMs === undefined) return '';
  const agoMs = Math.max(0, nowMs - timeMs);
  const [unit, unitMs] = UNITS.find(([, each]) => agoMs >= 2 * each) ?? ['s', 1_000];
  return ` ${Math.floor(agoMs / unitMs)} ${unit} ago`;
}
