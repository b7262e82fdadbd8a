/** Whose an object is: read from the labels that installers put on it. */
import type { KubeObject } from '@ambit/kube/resource';

export const PART_OF = 'app.kubernetes.io/part-of';
export const MANAGED_BY = 'app.kubernetes.io/managed-by';
export const VERSION = 'app.kubernetes.io/version';
export const AMBIT = 'ambit';
/** What the lab of the demo writes there. */
const LAB = 'ambit-lab';
const HELM_RELEASE = 'meta.helm.sh/release-name';

export function isOurs({ metadata }: KubeObject): boolean {
  return metadata.labels?.[PART_OF] === AMBIT;
}

/** Made by this command, as against by Helm or by hand. */
export function isInstalledByCommand({ metadata }: KubeObject): boolean {
  return metadata.labels?.[PART_OF] === AMBIT && metadata.labels[MANAGED_BY] === AMBIT;
}

/** Run from sources by the lab, which has no images. */
export function isOfLab({ metadata }: KubeObject): boolean {
  return metadata.labels?.[MANAGED_BY] === LAB;
}

/** The Helm release that an object belongs to. */
export function helmReleaseOf({ metadata }: KubeObject): string | undefined {
  return metadata.annotations?.[HELM_RELEASE];
}

/** The object with the labels by which this command finds it again. */
export function stamped(object: KubeObject, version: string): KubeObject {
  const { labels } = object.metadata;
  const own = { [VERSION]: version, ...labels, [PART_OF]: AMBIT, [MANAGED_BY]: AMBIT };
  return { ...object, metadata: { ...object.metadata, labels: own } };
}

/** What the control plane writes into its webhook at run time stays as it wrote it. */
export function withRuntimeFields(object: KubeObject, live: KubeObject | undefined): KubeObject {
  if (object.kind !== 'ValidatingWebhookConfiguration' || !live) return object;
  const current = new Map(webhooksOf(live).map((webhook) => [webhook.name, webhook]));
  const webhooks = webhooksOf(object).map((webhook) => {
    const failurePolicy = current.get(webhook.name)?.failurePolicy ?? webhook.failurePolicy;
    return failurePolicy === undefined ? webhook : { ...webhook, failurePolicy };
  });
  return { ...object, webhooks } as KubeObject;
}

interface Webhook {
  readonly name: string;
  readonly failurePolicy?: string;
}

function webhooksOf(object: KubeObject): readonly Webhook[] {
  const { webhooks } = object as KubeObject & { readonly webhooks?: readonly Webhook[] };
  return webhooks ?? [];
}
