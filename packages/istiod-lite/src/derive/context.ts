/** What every part of the graph is built with. */
import type { Scheduler } from '@ambit/collections/scheduler';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import type { Singleton } from '@ambit/collections/singleton';
import type { Inputs } from '../inputs.ts';
import type { MeshConfig } from '../mesh-config/read.ts';
import type { MeshSettings } from '../translate/settings.ts';

export interface GraphContext {
  readonly inputs: Inputs;
  /** Those settings that may change while the process lives. */
  readonly meshConfig: Singleton<MeshConfig>;
  readonly settings: MeshSettings;
  readonly scheduler: Scheduler;
  readonly clock: Clock;
  readonly log: Logger;
}

/** For small results: stops a change of what nobody reads (a heartbeat, a status) from going any further. */
export function sameContent(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(a, b);
}
