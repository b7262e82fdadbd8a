import { describe, expect, test } from '@jest/globals';
import { FakeClock } from '@ambit/core/testing/fake-clock';
import { MeshStore } from '@ambit/model/store';
import type { Connection } from './connection.ts';
import { FaultError } from './errors.ts';
import type { Pod } from './pod.ts';
import { PolicyWatch } from './policy-watch.ts';

const NONE = new Set<never>();
const CHANGE = { version: 1, policies: true, workloads: NONE, localWorkloads: NONE, services: NONE };

/** A pod whose policies can be asked about, or with something wrong in what asks. */
class StandIn {
  readonly faults: unknown[] = [];
  readonly cut: Error[] = [];
  readonly pod: Pod;

  constructor(isBroken: boolean) {
    const store = new MeshStore({ nodeName: '' });
    const mesh = {
      policiesFor: (...about: Parameters<MeshStore['policiesFor']>) => {
        if (isBroken) throw new TypeError('nobody thought of it');
        return store.policiesFor(...about);
      },
    };
    const connections = new Set<Connection>();
    this.pod = {
      connections,
      workload: { uid: 'web', namespace: 'shop', authorizationPolicies: [] },
      worker: { mesh, options: { missingPolicy: 'refuse' } },
      tellFault: (error: unknown) => void this.faults.push(error),
    } as unknown as Pod;
    connections.add({
      pod: this.pod,
      authorization: {
        identity: undefined,
        sourceIp: '10.0.0.9',
        destination: { ip: '10.0.0.1', port: 80 },
      },
      isEnded: false,
      awaitsPolicy: false,
      cut: (error: Error) => void this.cut.push(error),
    } as unknown as Connection);
  }
}

describe('policy that is asked again', () => {
  test('leaves a connection that it allows', () => {
    const { pod, cut, faults } = new StandIn(false);
    new PolicyWatch(new FakeClock()).changed(CHANGE, [pod]);
    expect([cut, faults]).toEqual([[], []]);
  });

  test('ends a connection by a fault in asking, as nobody knows that it may go on, and no other', () => {
    const broken = new StandIn(true);
    const sound = new StandIn(false);
    new PolicyWatch(new FakeClock()).changed(CHANGE, [broken.pod, sound.pod]);
    expect(broken.cut).toEqual([expect.any(FaultError)]);
    expect(broken.faults).toEqual([new TypeError('nobody thought of it')]);
    expect(sound.cut).toEqual([]);
  });
});
