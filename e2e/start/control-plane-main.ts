/**
 * A control plane with a large state as a process of its own: `control-plane-main.ts PODS SERVICES`. Says on standard output
 * where it is, a line of JSON, and then each response that a client's connection has taken.
 */
import { startControlPlane } from '../bench/control-plane.ts';
import { nowMs } from '../scale/measure.ts';
import { FULL_SIZE } from '../scale/population.ts';
import { stateOf } from './state.ts';

const [pods = 0, services = 0] = process.argv.slice(2).map(Number);
const state = pods === 0 ? {} : stateOf({ ...FULL_SIZE, pods, services });
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);
const { address, rootsPem } = await startControlPlane(state, {
  pushed: (typeUrl, resources, bytes) => say({ atMs: nowMs(), said: 'pushed', typeUrl, resources, bytes }),
  taken: (typeUrl) => say({ atMs: nowMs(), said: 'taken', typeUrl }),
});
say({ address, rootsPem });
