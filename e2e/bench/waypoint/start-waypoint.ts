/** The waypoint as it is, but for its ports: several run on one address here. Arguments: own port, endpoints' port, xDS address. */
import { garbageCollector } from '@ambit/core/collect-garbage';
import { systemClock, systemRandom } from '@ambit/core/clock';
import { LogRoot } from '@ambit/core/log';
import { startApp } from '@ambit/waypoint/app';
import { configFrom } from '@ambit/waypoint/config';
import { NAMESPACE } from './names.ts';

const [inbound = '', hbonePort = '', xdsAddress = ''] = process.argv.slice(2);
const environment = {
  POD_NAME: 'waypoint-0',
  POD_NAMESPACE: NAMESPACE,
  SERVICE_ACCOUNT: 'waypoint',
  GATEWAY_NAME: 'waypoint',
  INSTANCE_IP: '127.0.0.1',
  XDS_ADDRESS: xdsAddress,
  FAKE_CA: 'true',
};
const config = configFrom(environment, { exists: () => false });
await startApp(
  { ...config, ports: { admin: 0, inbound: Number(inbound), stats: 0, readiness: 0 } },
  {
    clock: systemClock,
    random: systemRandom,
    log: new LogRoot(config.log),
    environment,
    machineHasIpv6: false,
    onShutdown: () => undefined,
    collectGarbage: garbageCollector(),
    hbonePort: Number(hbonePort),
  },
  AbortSignal.timeout(20_000),
);
process.once('SIGTERM', () => process.exit(0));
