/** Resources of the control plane as `/config_dump` shows them: as they were written, without keys and credentials. */
import { isSecretName } from '@ambit/core/secret-names';
import type { AuthorizationPolicy } from '../../resources/authorization-policy.ts';
import type { ExtensionProvider, MeshSettings } from '../../resources/mesh-settings.ts';
import type { JwtRule, RequestAuthentication } from '../../resources/request-authentication.ts';
import { KeySet } from '../../security/key-set.ts';
import { HIDDEN, shown } from './shown.ts';

const HEADER_CONDITION = /^request\.headers\[(.*)\]$/;

/** Conditions have what the user wrote; what it was compiled to says the same again. */
export function dumpAuthorizationPolicy(policy: AuthorizationPolicy): unknown {
  const written = ({
    field,
    negated,
    written: values,
  }: AuthorizationPolicy['rules'][number]['when'][number]) => ({
    field,
    negated,
    values: isSecretName(HEADER_CONDITION.exec(field)?.[1] ?? '') ? [HIDDEN] : values,
  });
  const rules = policy.rules.map(({ from, to, when }) => ({
    from: from.map((conditions) => conditions.map(written)),
    to: to.map((conditions) => conditions.map(written)),
    when: when.map(written),
  }));
  return shown({ ...policy, rules });
}

export function dumpRequestAuthentication(policy: RequestAuthentication): unknown {
  return shown({ ...policy, rules: policy.rules.map((rule) => ({ ...rule, keys: dumpKeys(rule) })) });
}

/** A set that is written into the rule may hold shared secrets. */
function dumpKeys({ keys }: JwtRule): unknown {
  if (keys.kind !== 'inline') return keys;
  const set = KeySet.parse(keys.jwks);
  return typeof set === 'string' ? { kind: keys.kind, problem: set } : { kind: keys.kind, keys: set.facts() };
}

/** Providers are told headers that let us in. */
export function dumpMeshSettings(settings: MeshSettings): unknown {
  const providers = [...settings.extensionProviders].map(
    ([name, provider]) => [name, withoutHeaderValues(provider)] as const,
  );
  return shown({ ...settings, extensionProviders: new Map(providers) });
}

function withoutHeaderValues(provider: ExtensionProvider): unknown {
  const hidden = (fields: readonly { readonly name: string }[]) =>
    fields.map(({ name }) => ({ name, value: HIDDEN }));
  switch (provider.kind) {
    case 'opentelemetry':
    case 'zipkin':
      return { ...provider, headers: hidden(provider.headers) };
    case 'ext-authz-http': {
      const { includeAdditionalHeadersInCheck } = provider;
      return { ...provider, includeAdditionalHeadersInCheck: hidden(includeAdditionalHeadersInCheck) };
    }
    default:
      return provider;
  }
}
