/** The filters of a rule or of a backend, from their messages, sorted by kind. */
import type {
  Cors as CorsMessage,
  ExternalAuth as ExternalAuthMessage,
  HeaderChange as HeaderChangeMessage,
  HttpFilter,
  Mirror as MirrorMessage,
  PathChange as PathChangeMessage,
  Redirect as RedirectMessage,
  Rewrite as RewriteMessage,
} from '@ambit/api/waypoint';
import { isToken } from '@ambit/core/http-text';
import { serviceKey, splitServiceKey } from '@ambit/model/address';
import { atMost, nameOf, portOf, Problem } from '@ambit/model/decode/problem';
import type { Authorizer } from '../authorizer.ts';
import {
  type Cors,
  type ExternalAuth,
  type HeaderChange,
  type HttpFilters,
  type Mirror,
  NO_FILTERS,
  type PathChange,
  type Redirect,
  type Rewrite,
} from '../http-route.ts';
import { MAX_DIRECT_RESPONSE_BYTES, MAX_PARTS } from '../limits.ts';
import { compileRewrite } from '../regex-rewrite.ts';
import { extAuthzGrpcOf, extAuthzHttpOf } from './authorizer.ts';
import { headerFieldsOf, headerNameOf, said, servicePortOf, statusOf, textMatchOf, textOf } from './read.ts';

type Case<K extends string> = Extract<NonNullable<HttpFilter['kind']>, { readonly $case: K }>['value'];

/** @throws {@link Problem} */
export function filtersOf(messages: readonly HttpFilter[]): HttpFilters {
  if (messages.length === 0) return NO_FILTERS;
  for (const { kind } of atMost(messages, MAX_PARTS, 'filters')) {
    if (kind === undefined) throw new Problem('filters: one of a kind that is not known');
  }
  const one = <K extends 'redirect' | 'rewrite' | 'cors' | 'directResponse' | 'externalAuth'>(
    name: K,
  ): Case<K> | undefined => {
    const found = all(messages, name);
    if (found.length > 1) throw new Problem(`filters: ${name} more than once`);
    return found[0];
  };
  const redirect = one('redirect');
  const rewrite = one('rewrite');
  const cors = one('cors');
  const response = one('directResponse');
  const externalAuth = one('externalAuth');
  // Who answers by itself asks nobody.
  if (response && externalAuth)
    throw new Problem('filters: directResponse and externalAuth exclude each other');
  if (redirect && rewrite) throw new Problem('filters: redirect and rewrite exclude each other');
  return {
    requestHeaders: all(messages, 'requestHeaders').map((change) => headerChangeOf(change, 'requestHeaders')),
    responseHeaders: all(messages, 'responseHeaders').map((change) =>
      headerChangeOf(change, 'responseHeaders'),
    ),
    mirrors: all(messages, 'mirror').map(mirrorOf),
    cors: cors && corsOf(cors),
    rewrite: rewrite && rewriteOf(rewrite),
    redirect: redirect && redirectOf(redirect),
    directResponse: response && {
      status: statusOf(response.status, 'directResponse'),
      body: bodyOf(response.body),
    },
    externalAuth: externalAuth && externalAuthOf(externalAuth),
  };
}

function all<K extends NonNullable<HttpFilter['kind']>['$case']>(
  messages: readonly HttpFilter[],
  name: K,
): readonly Case<K>[] {
  return messages.flatMap(({ kind }) => (kind?.$case === name ? [kind.value as Case<K>] : []));
}

/** Copied: it outlives the response that the bytes are part of. */
function bodyOf(bytes: Uint8Array): Uint8Array {
  if (bytes.length > MAX_DIRECT_RESPONSE_BYTES) {
    throw new Problem(`directResponse: more than ${MAX_DIRECT_RESPONSE_BYTES} bytes`);
  }
  return new Uint8Array(bytes);
}

function headerChangeOf({ set, add, remove }: HeaderChangeMessage, field: string): HeaderChange {
  return {
    set: headerFieldsOf(set, field),
    add: headerFieldsOf(add, field),
    remove: atMost(remove, MAX_PARTS, field).map((name) => headerNameOf(name, field)),
  };
}

function mirrorOf({ service, subset, numerator, denominator }: MirrorMessage): Mirror {
  if (service === undefined) throw new Problem('mirror: without a service');
  if (numerator > denominator && denominator > 0) throw new Problem('mirror: more than all requests');
  return {
    target: servicePortOf(service, 'mirror'),
    subset: nameOf(subset, 'mirror'),
    share: denominator === 0 ? 1 : numerator / denominator,
  };
}

function corsOf(message: CorsMessage): Cors {
  const allowOrigins = atMost(message.allowOrigins, MAX_PARTS, 'cors').map((origin) =>
    textMatchOf(origin, 'cors'),
  );
  const list = (texts: readonly string[]) =>
    atMost(texts, MAX_PARTS, 'cors').map((text) => {
      if (!isToken(nameOf(text, 'cors'))) {
        throw new Problem(`cors: ${text} is neither a method nor a header`);
      }
      return text;
    });
  return {
    allowOrigins,
    allowsAnyOrigin: allowOrigins.some(
      (origin) => origin.kind === 'present' || (origin.kind === 'exact' && origin.text === '*'),
    ),
    allowCredentials: message.allowCredentials,
    allowMethods: list(message.allowMethods),
    allowHeaders: list(message.allowHeaders),
    exposeHeaders: list(message.exposeHeaders),
    maxAgeS: message.maxAgeS,
    forwardUnmatchedPreflights: message.forwardUnmatchedPreflights,
  };
}

function pathChangeOf({ kind }: PathChangeMessage): PathChange {
  switch (kind?.$case) {
    case 'replaceFull':
      return { kind: 'replace-full', path: pathTextOf(kind.value) };
    case 'replacePrefix':
      return { kind: 'replace-prefix', path: pathTextOf(kind.value) };
    case 'regex': {
      const rewrite = compileRewrite(kind.value.match, textOf(kind.value.rewrite, 'rewrite'));
      if (typeof rewrite === 'string') throw new Problem(`path: ${rewrite}`);
      return { kind: 'regex', rewrite };
    }
    case undefined:
      throw new Problem('path: a change of a kind that is not known');
    default:
      return kind satisfies never;
  }
}

/** What HTTP would take as a path; anything else could end the request line early. */
function pathTextOf(text: string): string {
  if (!/^[\x21-\x7e]*$/.test(textOf(text, 'path'))) throw new Problem(`path: ${text} is no path`);
  return text;
}

function rewriteOf({ hostname, path }: RewriteMessage): Rewrite {
  return { hostname: said(authorityOf(hostname)), path: path && pathChangeOf(path) };
}

function externalAuthOf({ kind }: ExternalAuthMessage): ExternalAuth {
  switch (kind?.$case) {
    case 'http':
      return askedOf(extAuthzHttpOf(kind.value));
    case 'grpc':
      return askedOf(extAuthzGrpcOf(kind.value));
    case 'status':
      return { kind: 'status', status: statusOf(kind.value, 'externalAuth') };
    case undefined:
      throw new Problem('externalAuth: of a kind that is not known');
    default:
      return kind satisfies never;
  }
}

function askedOf(authorizer: Authorizer): ExternalAuth {
  const parts = splitServiceKey(authorizer.service);
  if (!parts || authorizer.port === 0) throw new Problem(`externalAuth: ${authorizer.service} is no service`);
  // The Gateway API has no word for letting requests pass that nobody was asked about.
  if (authorizer.failOpen) throw new Problem('externalAuth: failOpen');
  const to = { service: serviceKey(parts.namespace, parts.hostname), port: authorizer.port };
  return { kind: 'service', to, authorizer };
}

const SCHEMES: readonly string[] = ['', 'http', 'https'];

function redirectOf(message: RedirectMessage): Redirect {
  const scheme = message.scheme.toLowerCase();
  if (!SCHEMES.includes(scheme)) throw new Problem(`redirect: the scheme ${scheme} is not known`);
  const status = message.status || 302;
  if (![301, 302, 303, 307, 308].includes(status)) throw new Problem(`redirect: ${status} is no redirect`);
  return {
    scheme: scheme === '' ? undefined : (scheme as 'http' | 'https'),
    hostname: said(authorityOf(message.hostname)),
    path: message.path && pathChangeOf(message.path),
    port: portOf(message.port, 'redirect'),
    status,
    portFromRequest: message.portFromRequest,
  };
}

function authorityOf(hostname: string): string {
  if (!/^[\w.\-:[\]*%~]*$/.test(nameOf(hostname, 'hostname'))) {
    throw new Problem(`hostname: ${hostname} is none`);
  }
  return hostname;
}
