/**
 * The self-signed root, and how far a rotation of it has come, as data of a Secret. Pure.
 *
 * The root that signs must be readable, or nothing is. The next one need not be: a rotation that cannot go on is given up,
 * and what is trusted already stays so, since somebody may have been told of it.
 */
import { messageOf } from '@ambit/core/errors';
import { AuthorityError } from '@ambit/identity/errors';
import { caSecretFiles, type CaFiles, materialOf } from '@ambit/identity/plugged-in-ca';
import type { RootPhase, RotatingRoot } from '@ambit/identity/root-rotation';
import type { Secret } from '@ambit/kube/resources/core';

export interface StoredRoot extends RotatingRoot {
  /** Why the rotation that was under way cannot go on; `phase` is steady then. */
  readonly lostNext: string | undefined;
}

/** Set by an operator, to any value; taken off when the rotation begins. */
export const ROTATE_ANNOTATION = 'ambit.mesh/rotate-root';
/** The API server lets istiod make no Secret of another (the chart's admission-policy.yaml). */
export const ROOT_SECRET_TYPE = 'istio.io/ca-root';
/** Among the data, since annotations are easily lost. */
const PHASE = 'root-phase';
const SINCE = 'root-phase-since';
const NEXT_CERTIFICATE = 'next-ca-cert.pem';
const NEXT_KEY = 'next-ca-key.pem';

/** @throws {@link AuthorityError} if the root that signs cannot be used. */
export function rootIn({ data = {}, metadata }: Secret, nowMs: number): StoredRoot {
  const files = Object.fromEntries(
    Object.entries(data)
      .map(([name, text]) => [name, Buffer.from(text, 'base64').toString('utf8')] as const)
      .filter(([, text]) => text !== ''),
  );
  // Istio writes the self-signed root under one name only.
  const certificate = files['ca-cert.pem'];
  const complete: CaFiles =
    certificate && !files['root-cert.pem'] ? { ...files, 'root-cert.pem': certificate } : files;
  const material = materialOf(complete, nowMs);
  if (!material) throw new AuthorityError(`secret ${metadata.name} holds no CA certificate`);
  return { material, ...phaseIn(files, nowMs) };
}

/** A phase whose time cannot be read does not end: better both roots for long than one too early. */
function phaseIn(files: CaFiles, nowMs: number): Pick<StoredRoot, 'phase' | 'lostNext'> {
  const told = Date.parse(files[SINCE] ?? '');
  const sinceMs = Number.isNaN(told) ? nowMs : told;
  const steady = { kind: 'steady' } as const;
  switch (files[PHASE]) {
    case 'announced': {
      const next = nextIn(files, nowMs);
      return typeof next === 'string'
        ? { phase: steady, lostNext: next }
        : { phase: { kind: 'announced', sinceMs, next }, lostNext: undefined };
    }
    case 'overlapping':
      return { phase: { kind: 'overlapping', sinceMs }, lostNext: undefined };
    default:
      return { phase: steady, lostNext: undefined };
  }
}

type Announced = Extract<RootPhase, { readonly kind: 'announced' }>;

/** @returns What is wrong with it, if anything is. */
function nextIn(files: CaFiles, nowMs: number): Announced['next'] | string {
  const certificate = files[NEXT_CERTIFICATE];
  const names = { 'ca-cert.pem': certificate, 'ca-key.pem': files[NEXT_KEY], 'root-cert.pem': certificate };
  try {
    return materialOf(names, nowMs)?.signer ?? `${NEXT_CERTIFICATE}: missing`;
  } catch (error) {
    return messageOf(error)
      .replace('root-cert.pem', NEXT_CERTIFICATE)
      .replaceAll(/\bca-(cert|key)\.pem/g, 'next-ca-$1.pem');
  }
}

/** The Secret with this state in place of the one before; a wish that was granted is taken off. */
export function withRoot(secret: Secret, { material, phase }: RotatingRoot): Secret {
  const { [NEXT_CERTIFICATE]: _, [NEXT_KEY]: __, [PHASE]: ___, [SINCE]: ____, ...data } = secret.data ?? {};
  const { [ROTATE_ANNOTATION]: wish, ...annotations } = secret.metadata.annotations ?? {};
  const isGranted = wish === undefined || phase.kind === 'announced';
  const next = phase.kind === 'announced' && {
    [NEXT_CERTIFICATE]: phase.next.certificatePem,
    [NEXT_KEY]: phase.next.privateKey.export({ format: 'pem', type: 'pkcs8' }).toString(),
  };
  const course = phase.kind !== 'steady' && {
    [PHASE]: phase.kind,
    [SINCE]: new Date(phase.sinceMs).toISOString(),
  };
  return {
    ...secret,
    metadata: {
      ...secret.metadata,
      annotations: { ...annotations, ...(!isGranted && { [ROTATE_ANNOTATION]: wish }) },
    },
    data: { ...data, ...encode({ ...caSecretFiles(material), ...next, ...course }) },
  };
}

/** A Secret of its own for the state. */
export function newRootSecret(
  at: { readonly namespace: string; readonly name: string },
  root: RotatingRoot,
): Secret {
  const { namespace, name } = at;
  return withRoot(
    {
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: { namespace, name, labels: { 'app.kubernetes.io/part-of': 'ambit' } },
      type: ROOT_SECRET_TYPE,
    },
    root,
  );
}

function encode(files: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(files).map(([name, text]) => [name, Buffer.from(text).toString('base64')]),
  );
}
