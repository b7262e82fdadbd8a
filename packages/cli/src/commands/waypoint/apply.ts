/**
 * `ambit waypoint apply`: writes the Gateway of a waypoint, sends the namespace's traffic there if asked to, and waits
 * until the waypoint is ready.
 *
 * The namespace is labelled last, so that nobody is sent to a waypoint that could not be written. Until the waypoint has an
 * address, traffic goes on without it.
 */
import { type Namespace, namespaces } from '@ambit/kube/resources/core';
import { type Gateway, gateways } from '@ambit/kube/resources/gateway';
import type { Context } from '../../context.ts';
import { isEnrolled } from '../../enrolment.ts';
import { NotFoundError, UsageError } from '../../errors.ts';
import { EXIT, type ExitCode } from '../../exit-code.ts';
import { whyNotReady } from '../../waypoint/health.ts';
import { checkClass, namespaceOf, untilProgrammed } from '../../waypoint/cluster.ts';
import {
  isProgrammed,
  isWaypoint,
  USE_WAYPOINT_LABEL,
  USE_WAYPOINT_NAMESPACE_LABEL,
  WAYPOINT_CLASS,
  waypointGateway,
} from '../../waypoint/gateway.ts';

const FIELD_MANAGER = 'ambit';

export async function applyWaypoint(context: Context): Promise<ExitCode> {
  const { client, options, signal } = context;
  const namespace = await namespaceOf(context);
  const wanted = waypointGateway(options.waypoint, namespace);
  await checkClass(context);
  const home = await client.find(namespaces, { name: namespace }, signal);
  if (!home) throw new NotFoundError(`there is no namespace ${namespace}`);
  await checkInPlace(context, wanted);
  if (options.waypoint.enrolNamespace) checkLabel(context, home);
  const patch = { type: 'apply', body: wanted, force: true } as const;
  const { metadata } = await client.patch(
    gateways,
    wanted.metadata,
    patch,
    { fieldManager: FIELD_MANAGER },
    signal,
  );
  if (options.waypoint.enrolNamespace) await label(context, home);
  const [gateway] = await untilProgrammed(context, async () => [
    await client.get(gateways, metadata, signal),
  ]);
  return await report(context, gateway ?? wanted, home);
}

/** @throws {@link UsageError} rather than to make a waypoint of somebody's gateway. */
async function checkInPlace({ client, signal }: Context, { metadata }: Gateway): Promise<void> {
  const known = await client.find(gateways, metadata, signal);
  if (known && !isWaypoint(known))
    throw new UsageError(
      `Gateway ${metadata.namespace}/${metadata.name} is there already, of class ${known.spec?.gatewayClassName}, not ${WAYPOINT_CLASS}; choose another --name`,
    );
}

/** @throws {@link UsageError} rather than to take a namespace from another waypoint unasked. */
function checkLabel({ options }: Context, { metadata }: Namespace): void {
  const { name, overwrite } = options.waypoint;
  const current = metadata.labels?.[USE_WAYPOINT_LABEL];
  const elsewhere = metadata.labels?.[USE_WAYPOINT_NAMESPACE_LABEL] ?? metadata.name;
  if (overwrite || current === undefined || (current === name && elsewhere === metadata.name)) return;
  throw new UsageError(
    `namespace ${metadata.name} uses waypoint ${elsewhere}/${current} already; --overwrite takes it over`,
  );
}

async function label({ client, options, signal }: Context, { metadata }: Namespace): Promise<void> {
  const labels = { [USE_WAYPOINT_LABEL]: options.waypoint.name, [USE_WAYPOINT_NAMESPACE_LABEL]: null };
  const patch = { type: 'merge', body: { metadata: { labels } } } as const;
  await client.patch(namespaces, { name: metadata.name }, patch, { fieldManager: FIELD_MANAGER }, signal);
}

async function report(context: Context, gateway: Gateway, home: Namespace): Promise<ExitCode> {
  const { options, print, warn } = context;
  const { namespace = '', name } = gateway.metadata;
  const { enrolNamespace, trafficType } = options.waypoint;
  const isReady = isProgrammed(gateway);
  if (options.output === 'json') {
    const value = { namespace, name, ready: isReady, namespaceEnrolled: enrolNamespace };
    print(`${JSON.stringify(value, undefined, 2)}\n`);
  } else {
    print(`waypoint ${namespace}/${name} ${isReady ? 'is ready' : 'applied'}\n`);
    if (enrolNamespace) print(`namespace ${namespace} labelled ${USE_WAYPOINT_LABEL}=${name}\n`);
  }
  if (enrolNamespace && (trafficType === 'none' || trafficType === 'workload'))
    warn(
      `it takes no traffic to services (--for ${trafficType}), so services of ${namespace} stay without it`,
    );
  if (!isEnrolled(home))
    warn(
      `namespace ${namespace} is not in the mesh, so nothing goes through it yet: ambit enroll ${namespace}`,
    );
  if (!options.wait || isReady) return EXIT.ok;
  warn(`not ready after ${options.timeoutMs / 1_000} s: ${await whyNotReady(context, gateway)}`);
  return EXIT.timeout;
}
