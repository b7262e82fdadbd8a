/**
 * Tells what the tags of revisions keep this control plane from: nobody else would, since a Gateway that is another
 * revision's is not ours to write on, and that revision may have gone long ago and left its tag behind.
 */
import type { Collection } from '@ambit/collections/collection';
import type { Clock } from '@ambit/core/clock';
import type { Logger } from '@ambit/core/log';
import { mutatingWebhookConfigurations } from '@ambit/kube/resources/authentication';
import type { KubeObject } from '@ambit/kube/resource';
import { TAGS_OVERDUE_MS } from '../limits.ts';
import { takenDefault } from './decide/management.ts';

export interface DefaultTagOptions {
  /** What makes tags of revisions. */
  readonly tags: Collection<string, KubeObject>;
  readonly revision: string;
  readonly clock: Clock;
  readonly log: Logger;
}

/** Once for each change of it. */
export function tellDefaultTag({ tags, revision, clock, log }: DefaultTagOptions): Disposable {
  const scope = new DisposableStack();
  let told: string | undefined;
  const look = () => {
    if (!tags.synced.value) return;
    const taken = takenDefault(
      revision,
      [...tags.values()].map(({ metadata }) => metadata),
    );
    if (taken?.revision === told) return;
    told = taken?.revision;
    if (!taken) return log.info('Gateways without istio.io/rev are this control plane’s again');
    log.warn(
      `Gateways without istio.io/rev are left alone, and waypoints are not made for them: tag "default" stands for revision "${taken.revision}". If no control plane of that revision runs, take the tag away (kubectl delete mutatingwebhookconfiguration ${taken.by})`,
      { webhook: taken.by, revision: taken.revision },
    );
  };
  scope.use(tags.subscribe(look));
  scope.use(tags.synced.subscribe(look));
  look();
  const overdue = clock.after(TAGS_OVERDUE_MS, () => {
    if (tags.synced.value) return;
    log.warn(
      `waypoints are left as they are until it is known which revision is whose: ${mutatingWebhookConfigurations.plural} cannot be listed (a chart that is older than this image does not allow it: upgrade both)`,
    );
  });
  scope.defer(() => overdue.cancel());
  return scope;
}
