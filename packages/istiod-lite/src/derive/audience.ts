/** Audiences of resources, as values. Pure. */
import type { Audience } from '../push/waypoint-feed.ts';

/** @param waypoints - `namespace/name`, in any order, any number of times. */
export function audienceOf(waypoints: Iterable<string>): readonly string[] {
  return [...new Set(waypoints)].sort();
}

export function sameAudience(a: Audience, b: Audience): boolean {
  if (a === 'all' || b === 'all') return a === b;
  return a.length === b.length && a.every((waypoint, i) => waypoint === b[i]);
}
