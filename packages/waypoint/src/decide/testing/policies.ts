/** Policies for tests, made from what a user would write, through the bytes that they come in. */
import {
  AuthorizationAction,
  type AuthorizationOperation,
  type AuthorizationSource,
  createWaypointResource,
  encodeWaypointResource,
} from '@ambit/api/waypoint';
import type { AuthorizationPolicy } from '../../resources/authorization-policy.ts';
import { decodeResource } from '../../resources/decode/decode.ts';

export interface RuleParts {
  readonly from?: readonly Partial<AuthorizationSource>[];
  readonly to?: readonly Partial<AuthorizationOperation>[];
  /** Keys and values; a key with `!` before it has the values that must not be. */
  readonly when?: Readonly<Record<string, readonly string[]>>;
}

export interface PolicyParts {
  readonly key?: string;
  readonly action?: keyof typeof AuthorizationAction;
  readonly provider?: string;
  readonly dryRun?: boolean;
  readonly unreadable?: string;
  readonly rules?: readonly RuleParts[];
}

/** One that cannot be read is what refuses in its place. */
export function policy(parts: PolicyParts): AuthorizationPolicy {
  const {
    key = 'shop/p',
    action = 'ALLOW',
    provider = action === 'CUSTOM' ? 'asker' : '',
    rules = [],
  } = parts;
  const [namespace = '', name = ''] = key.split('/');
  const message = createWaypointResource('AuthorizationPolicy', {
    origin: { kind: 'AuthorizationPolicy', namespace, name, createdMs: 0n },
    targets: [{ kind: { $case: 'gateway', value: 'shop/waypoint' } }],
    action: AuthorizationAction[action],
    provider,
    dryRun: parts.dryRun ?? false,
    unreadable: parts.unreadable ?? '',
    rules: rules.map(({ from = [], to = [], when = {} }) => ({
      from: from as readonly AuthorizationSource[],
      to: to as readonly AuthorizationOperation[],
      when: Object.entries(when).map(([written, values]) => {
        const negated = written.startsWith('!');
        const conditionKey = negated ? written.slice(1) : written;
        return { key: conditionKey, values: negated ? [] : values, notValues: negated ? values : [] };
      }),
    })),
  });
  const bytes = encodeWaypointResource('AuthorizationPolicy', message);
  const decoded = decodeResource('AuthorizationPolicy', key, bytes, undefined);
  const made = decoded.kind === 'value' ? decoded.value : decoded.refusing;
  if (made === undefined) throw new Error('nothing stands for the policy');
  return made;
}
