/** The network of this cluster: what the label of the control plane's namespace says; empty is a network too. */
import { Singleton } from '@ambit/collections/singleton';
import { NETWORK_LABEL } from '../translate/settings.ts';
import type { GraphContext } from './context.ts';

export function deriveNetwork({ inputs, settings, scheduler }: GraphContext): Singleton<string> {
  return new Singleton({
    name: 'network',
    scheduler,
    inputs: [inputs.namespaces],
    compute: () => inputs.namespaces.get(settings.systemNamespace)?.metadata.labels?.[NETWORK_LABEL] ?? '',
  });
}
