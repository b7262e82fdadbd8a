/** Admission as the real API server sees it, asked again and again while something happens to it. */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect } from 'node:tls';
import { messageOf } from '@ambit/core/errors';
import { portForward } from '@ambit/kube/port-forward';
import { validatingWebhookConfigurations } from '@ambit/kube/resources/authentication';
import { type AuthorizationPolicy, authorizationPolicies } from '@ambit/kube/resources/security';
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
const TLS_TIMEOUT_MS = 10_000;

export interface Admission {
  readonly asked: number;
  /** Whatever was not answered as it has to be. */
  readonly wrong: readonly string[];
  /** Answers that took longer than the API server waits: the machine is busy, which is told and not judged. */
  readonly late: number;
  /** Serial numbers of the certificates that istiod was seen to serve with, each trusted by what the API server is told to trust. */
  readonly served: ReadonlySet<string>;
}

/** Asks in `namespace` while `during` runs, from a moment before it to a moment after. */
export async function whileAdmitting(
  suite: Suite,
  namespace: string,
  during: () => Promise<void>,
): Promise<Admission> {
  const served = new Set<string>();
  const wrong: string[] = [];
  let [asked, late] = [0, 0];
  const over = Promise.withResolvers<void>();
  let isOver = false;
  const asking = (async () => {
    for (;;) {
      asked += 1;
      for (const answer of await answersOf(suite, namespace)) {
        if (answer.includes('context deadline exceeded')) late += 1;
        else wrong.push(answer);
      }
      served.add(await servedBy(suite).catch((error: unknown) => `not served: ${messageOf(error)}`));
      if (isOver) return;
      await Promise.race([sleep(PAUSE_MS, undefined, { ref: false }), over.promise]);
    }
  })();
  try {
    await during();
  } finally {
    isOver = true;
    over.resolve();
    await asking;
  }
  return { asked, wrong, late, served };
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

/** The serial number of the certificate that a TLS client which trusts what the API server trusts is shown. */
async function servedBy({ cluster, mesh }: Suite): Promise<string> {
  const { webhooks } = await cluster.client.get(validatingWebhookConfigurations, { name: CONFIGURATION });
  const ca = Buffer.from(webhooks?.[0]?.clientConfig?.caBundle ?? '', 'base64').toString();
  const pod = (await mesh.podsOf('istiod')).find(isReady);
  const at = { namespace: SYSTEM, name: pod?.metadata.name ?? '', port: WEBHOOK_PORT };
  const signal = AbortSignal.timeout(TLS_TIMEOUT_MS);
  const stream = await portForward(cluster.client, at, signal);
  const socket = connect({ socket: stream, ca, servername: `istiod.${SYSTEM}.svc` });
  try {
    await once(socket, 'secureConnect', { signal });
    return socket.getPeerCertificate().serialNumber;
  } finally {
    socket.destroy();
    stream.destroy();
  }
}
