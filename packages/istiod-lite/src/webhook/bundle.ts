/**
 * Whom the API server trusts, as data of its webhook configurations. Pure.
 *
 * It must know a root before it is shown a certificate of that root: what is closed would refuse every policy. So roots are
 * put beside those that are there, and those of others go later.
 */
import { CertificateError } from '@ambit/identity/errors';
import type { AuthorityMaterial } from '@ambit/identity/certificate-authority';
import { pemBlocks } from '@ambit/identity/pem';
import { rootOf } from '@ambit/identity/trust-path';
import type { ValidatingWebhookConfiguration } from '@ambit/kube/resources/authentication';
import { MAX_DEPARTING_ROOTS } from '../limits.ts';

/** Of the webhook that only warns: it must never keep a Namespace or a Service from being written. */
const WARNING_WEBHOOK = 'waypoint.validation.istio.io';

type Webhook = NonNullable<ValidatingWebhookConfiguration['webhooks']>[number];

/** Every root, of whomever, that some webhook of it has. */
export function rootsOf({ webhooks = [] }: ValidatingWebhookConfiguration): readonly string[] {
  return webhooks.flatMap(rootsIn);
}

/**
 * The configuration with our roots in it, or `undefined` when they are there already and no other has to go.
 *
 * @param isKept - Of a root that is not ours: whether it stays for now.
 */
export function trusted(
  configuration: ValidatingWebhookConfiguration,
  ours: readonly string[],
  isKept: (rootPem: string) => boolean,
): ValidatingWebhookConfiguration | undefined {
  const wanted = (found: readonly string[]) => {
    const others = found.filter((root) => !ours.includes(root) && isKept(root));
    return [...ours, ...others.slice(0, MAX_DEPARTING_ROOTS)];
  };
  return changed(
    configuration,
    (webhook) => {
      const found = rootsIn(webhook);
      return wanted(found).toSorted().join() === found.toSorted().join();
    },
    (webhook) => {
      const caBundle = Buffer.from(wanted(rootsIn(webhook)).join('')).toString('base64');
      return { ...webhook, clientConfig: { ...webhook.clientConfig, caBundle } };
    },
  );
}

/** The configuration that refuses when nobody answers, or `undefined` when it does already. */
export function closed(
  configuration: ValidatingWebhookConfiguration,
): ValidatingWebhookConfiguration | undefined {
  return changed(
    configuration,
    (webhook) => webhook.name === WARNING_WEBHOOK || isClosed(webhook),
    (webhook) => ({ ...webhook, failurePolicy: 'Fail' }),
  );
}

/** Whether policies are refused, if who answers for it shows a certificate that is signed with `material`. */
export function doubts(
  { webhooks = [] }: ValidatingWebhookConfiguration,
  material: AuthorityMaterial,
): boolean {
  return webhooks.some((webhook) => isClosed(webhook) && !isBelieved(material, rootsIn(webhook)));
}

/**
 * Names of the configurations that would refuse policies if `next` signed in the place of `current`, whoever keeps them: they
 * trust one of those, and not that one.
 */
export function lacking(
  configurations: Iterable<ValidatingWebhookConfiguration>,
  current: readonly string[],
  next: string,
): readonly string[] {
  const isLacking = (webhook: Webhook) => {
    const found = rootsIn(webhook);
    return isClosed(webhook) && current.some((root) => found.includes(root)) && !found.includes(next);
  };
  return [...configurations]
    .filter(({ webhooks = [] }) => webhooks.some(isLacking))
    .map(({ metadata }) => metadata.name);
}

function changed(
  configuration: ValidatingWebhookConfiguration,
  isRight: (webhook: Webhook) => boolean,
  put: (webhook: Webhook) => Webhook,
): ValidatingWebhookConfiguration | undefined {
  const webhooks = configuration.webhooks ?? [];
  if (webhooks.every(isRight)) return undefined;
  return {
    ...configuration,
    webhooks: webhooks.map((webhook) => (isRight(webhook) ? webhook : put(webhook))),
  };
}

const isClosed = ({ failurePolicy }: Webhook) => failurePolicy === 'Fail';

/** A bundle that is beyond what anybody reads counts as none, and is replaced. */
function rootsIn({ clientConfig }: Webhook): readonly string[] {
  try {
    return pemBlocks(Buffer.from(clientConfig?.caBundle ?? '', 'base64').toString(), 'CERTIFICATE');
  } catch (error) {
    if (error instanceof CertificateError) return [];
    throw error;
  }
}

function isBelieved(material: AuthorityMaterial, rootsPem: readonly string[]): boolean {
  if (rootsPem.length === 0) return false;
  if (material.rootsPem.every((root) => rootsPem.includes(root))) return true;
  try {
    return rootOf({ ...material, rootsPem }) !== undefined;
  } catch {
    // Somebody has put there what is no certificate.
    return false;
  }
}
