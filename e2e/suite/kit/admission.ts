/** Admission as the real API server sees it, asked again and again while something happens to it. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { messageOf } from '@ambit/core/errors';
import { portForward } from '@ambit/kube/port-forward';
import { validatingWebhookConfigurations } from '@ambit/kube/resources/authentication';
import { type AuthorizationPolicy, authorizationPolicies } from '@ambit/kube/resources/security';
import type { Cluster } from './cluster.ts';
import { isReady, SYSTEM } from './mesh.ts';
import { authorizationPolicy } from './objects.ts';
import type { Suite } from './suite.ts';

const WEBHOOK_PORT = 15_017;
const CONFIGURATION = `istio-validator-${SYSTEM}`;
/**
 * Longer than istiod keeps an idle connection: each time the API server begins TLS anew, with whatever certificate there is
 * then, which its pool of connections would hide.
 */
const PAUSE_MS = 6_500;
/** Between two looks at what istiod serves with, which no pool hides. */
const LOOK_MS = 1_000;
const TLS_TIMEOUT_MS = 30_000;

export interface Admission {
  readonly asked: number;
  /** Whatever was not answered as it has to be. */
  readonly wrong: readonly string[];
  /** Answers, and handshakes, that took longer than is waited for: the machine is busy, which is told and not judged. */
  readonly late: number;
  /** Handshakes as the API server makes them, with each replica by itself. */
  readonly shaken: number;
  /** Those that failed, and why. */
  readonly distrusted: readonly string[];
  /** Serial numbers of the certificates that were trusted, each by what the API server was told to trust just before. */
  readonly served: ReadonlySet<string>;
}

/** Asks in `namespace` while `during` runs, from a moment before it to a moment after. */
export async function whileAdmitting(
  suite: Suite,
  namespace: string,
  during: () => Promise<void>,
): Promise<Admission> {
  const served = new Set<string>();
  const [wrong, distrusted]: [string[], string[]] = [[], []];
  let [asked, late, shaken] = [0, 0, 0];
  const over = new AbortController();
  const again = async (act: () => Promise<void>, pauseMs: number) => {
    for (;;) {
      await act();
      if (over.signal.aborted) return;
      await sleep(pauseMs, undefined, { signal: over.signal }).catch(() => undefined);
    }
  };
  const ask = async () => {
    asked += 1;
    for (const answer of await answersOf(suite, namespace)) {
      if (answer.includes('context deadline exceeded')) late += 1;
      else wrong.push(answer);
    }
  };
  const look = async () => {
    const shown = await servedBy(suite).catch((error: unknown) => [{ problem: messageOf(error) } as Shown]);
    for (const { serial, problem, isLate = false } of shown) {
      shaken += 1;
      if (isLate) late += 1;
      if (problem !== undefined) distrusted.push(problem);
      if (serial !== undefined) served.add(serial);
    }
  };
  const asking = Promise.all([again(ask, PAUSE_MS), again(look, LOOK_MS)]);
  try {
    await during();
  } finally {
    over.abort();
    await asking;
  }
  return { asked, wrong, late, shaken, distrusted, served };
}

/** One object that is right and one that is wrong; neither is stored. */
async function answersOf(suite: Suite, namespace: string): Promise<readonly string[]> {
  const answerTo = async (rules: readonly object[]) => {
    const policy = authorizationPolicy(namespace, 'asked', { rules }) as AuthorizationPolicy;
    try {
      await suite.cluster.client.create(authorizationPolicies, policy, { dryRun: true });
      return 'admitted';
    } catch (error) {
      return messageOf(error);
    }
  };
  const right = await answerTo([{}]);
  const wrong = await answerTo([{ from: [{ source: { ipBlocks: ['10.0.0.999'] } }] }]);
  return [
    ...(right === 'admitted' ? [] : [`what is right: ${right}`]),
    ...(/denied the request.*10\.0\.0\.999/s.test(wrong) ? [] : [`what is wrong: ${wrong}`]),
  ];
}

interface Shown {
  /** Of a certificate that was trusted. */
  readonly serial?: string;
  readonly problem?: string;
  /** There was no answer in time. */
  readonly isLate?: boolean;
}

/** What each ready replica shows a TLS client that trusts what the API server trusts. */
async function servedBy({ cluster, mesh }: Suite): Promise<readonly Shown[]> {
  const { webhooks } = await cluster.client.get(validatingWebhookConfigurations, { name: CONFIGURATION });
  const ca = Buffer.from(webhooks?.[0]?.clientConfig?.caBundle ?? '', 'base64').toString();
  const ready = (await mesh.podsOf('istiod')).filter(isReady);
  return await Promise.all(
    ready.map(async ({ metadata: { name } }) => {
      try {
        return { serial: await shownBy(cluster, name, ca) };
      } catch (error) {
        // One that has ended since is asked by nobody.
        const isThere = (await mesh.podsOf('istiod')).some(
          (pod) => pod.metadata.name === name && isReady(pod),
        );
        if (!isThere) return {};
        return isTimeout(error) ? { isLate: true } : { problem: `${name}: ${messageOf(error)}` };
      }
    }),
  );
}

/** Of a wait with a signal, or the signal's own reason. */
function isTimeout(error: unknown): boolean {
  const { name, cause } = error as { readonly name?: string; readonly cause?: unknown };
  return name === 'TimeoutError' || (cause !== undefined && cause !== null && isTimeout(cause));
}

/** The serial number of its certificate. */
async function shownBy({ client }: Cluster, name: string, ca: string): Promise<string> {
  const signal = AbortSignal.timeout(TLS_TIMEOUT_MS);
  const stream = await portForward(client, { namespace: SYSTEM, name, port: WEBHOOK_PORT }, signal);
  const socket = connect({ socket: stream, ca, servername: `istiod.${SYSTEM}.svc` });
  try {
    await once(socket, 'secureConnect', { signal });
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
    stream.destroy();
  }
}
