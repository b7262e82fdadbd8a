/**
 * Parts that messages of several kinds have in common. What cannot be read ends in a {@link Problem} that names the field.
 */
import type {
  Field,
  NamedMatch as NamedMatchMessage,
  Origin as OriginMessage,
  PolicyTarget as PolicyTargetMessage,
  ServicePort as ServicePortMessage,
  StringMatch as StringMatchMessage,
} from '@ambit/api/waypoint';
import { serviceKey } from '@ambit/model/address';
import { atMost, nameOf, portOf, Problem } from '@ambit/model/decode/problem';
import type { HeaderField } from '../header-field.ts';
import { MAX_DURATION_MS, MAX_PARENTS, MAX_PARTS, MAX_TEXT_LENGTH } from '../limits.ts';
import { isFieldValue, octetsOf } from '@ambit/http/header-fields';
import { asciiLowerCase } from '@ambit/core/http-text';
import { LinearRegex } from '@ambit/core/linear-regex';
import type { Origin } from '../origin.ts';
import type { PolicyTarget } from '../policy-target.ts';
import type { ServicePort } from '../service-port.ts';
import type { NamedMatch, TextMatch } from '../text-match.ts';

export function originOf(message: OriginMessage | undefined): Origin {
  if (message === undefined) throw new Problem('origin: missing');
  return {
    kind: nameOf(message.kind, 'origin'),
    namespace: nameOf(message.namespace, 'origin'),
    name: nameOf(message.name, 'origin'),
    createdMs: Number(message.createdMs),
  };
}

/** What is set in a message that says so in words; empty text is "nothing said". */
export function said(text: string): string | undefined {
  return text === '' ? undefined : text;
}

export function textOf(text: string, field: string): string {
  if (text.length > MAX_TEXT_LENGTH) throw new Problem(`${field}: longer than ${MAX_TEXT_LENGTH} characters`);
  return text;
}

export function servicePortOf(message: ServicePortMessage, field: string): ServicePort {
  const hostname = nameOf(message.hostname, field).toLowerCase();
  const namespace = nameOf(message.namespace, field);
  if (hostname === '' || hostname.includes('/') || namespace.includes('/')) {
    throw new Problem(`${field}: ${namespace}/${hostname} names no service`);
  }
  return { service: serviceKey(namespace, hostname), port: portOf(message.port, field) };
}

export function parentsOf(messages: readonly ServicePortMessage[]): readonly ServicePort[] {
  return atMost(messages, MAX_PARENTS, 'parents').map((message) => servicePortOf(message, 'parents'));
}

export function targetsOf(messages: readonly PolicyTargetMessage[]): readonly PolicyTarget[] {
  return atMost(messages, MAX_PARENTS, 'targets').map(({ kind }): PolicyTarget => {
    switch (kind?.$case) {
      case 'service':
        return { kind: 'service', service: servicePortOf(kind.value, 'targets').service };
      case 'gateway':
        return { kind: 'gateway', gateway: nameOf(kind.value, 'targets') };
      case 'allWaypoints':
        return { kind: 'all-waypoints' };
      case undefined:
        throw new Problem('targets: one of a kind that is not known');
      default:
        return kind satisfies never;
    }
  });
}

/** @throws {@link Problem} for a policy that says nothing of what it is attached to: nobody would enforce it. */
export function requiredTargetsOf(messages: readonly PolicyTargetMessage[]): readonly PolicyTarget[] {
  if (messages.length === 0) throw new Problem('targets: none');
  return targetsOf(messages);
}

export function textMatchOf(message: StringMatchMessage | undefined, field: string): TextMatch {
  const ignoreCase = message?.ignoreCase ?? false;
  const kind = message?.kind;
  switch (kind?.$case) {
    case 'exact':
    case 'prefix':
    case 'suffix': {
      const text = octetsOf(textOf(kind.value, field));
      return { kind: kind.$case, text: ignoreCase ? asciiLowerCase(text) : text, ignoreCase };
    }
    case 'regex':
      return { kind: 'regex', regex: regexOf(kind.value, ignoreCase, field) };
    case 'present':
      return { kind: 'present' };
    case undefined:
      throw new Problem(`${field}: a match of a kind that is not known`);
    default:
      return kind satisfies never;
  }
}

export function regexOf(pattern: string, ignoreCase: boolean, field: string): LinearRegex {
  const compiled = LinearRegex.compile(pattern, { ignoreCase });
  if (compiled.kind === 'problem') throw new Problem(`${field}: ${compiled.problem}`);
  return compiled.regex;
}

/** Of matches with the same name only the first counts, as the Gateway API has it. */
export function namedMatchesOf(
  messages: readonly NamedMatchMessage[],
  field: string,
  toName: (name: string) => string,
): readonly NamedMatch[] {
  const seen = new Set<string>();
  return atMost(messages, MAX_PARTS, field).flatMap(({ name, value }) => {
    const key = toName(nameOf(name, field));
    if (key === '') throw new Problem(`${field}: a match without a name`);
    if (seen.has(key)) return [];
    seen.add(key);
    return [{ name: key, value: textMatchOf(value, `${field}[${key}]`) }];
  });
}

/** A header's name in lower case; one that HTTP would not take is a problem. */
export function headerNameOf(name: string, field: string): string {
  const lower = nameOf(name, field).toLowerCase();
  if (!/^:?[!#$%&'*+\-.^_`|~0-9a-z]+$/.test(lower)) throw new Problem(`${field}: ${name} is no header name`);
  return lower;
}

export function headerFieldsOf(messages: readonly Field[], field: string): readonly HeaderField[] {
  return atMost(messages, MAX_PARTS, field).map(({ name, value }) => ({
    name: headerNameOf(name, field),
    value: headerValueOf(value, `${field}[${name}]`),
  }));
}

/** As octets in Latin-1, which is how fields are held; no codec sends control octets. */
export function headerValueOf(value: string, field: string): string {
  const octets = octetsOf(textOf(value, field));
  if (!isFieldValue(octets)) throw new Problem(`${field}: a control octet in a value`);
  return octets;
}

/** Milliseconds; 0 is "nothing said". */
export function durationOf(ms: number | bigint, field: string): number | undefined {
  const number = Number(ms);
  if (number > MAX_DURATION_MS) throw new Problem(`${field}: longer than ${MAX_DURATION_MS} ms`);
  return number === 0 ? undefined : number;
}

export function statusOf(status: number, field: string): number {
  if (status < 200 || status > 599) throw new Problem(`${field}: ${status} is no final status of HTTP`);
  return status;
}
