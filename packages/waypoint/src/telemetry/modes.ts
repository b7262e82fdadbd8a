/** Which side of a hop a rule of a Telemetry is for. */
import type { TelemetryMode } from '../resources/telemetry.ts';

/** A waypoint is a server: rules for clients alone are not for it. */
export function isForServers(mode: TelemetryMode): boolean {
  return mode !== 'CLIENT';
}
