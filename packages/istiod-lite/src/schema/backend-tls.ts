/** The Gateway API's BackendTLSPolicy as far as we read it, to check objects with before they are translated. */
import { list, object, text } from './openapi.ts';

const name = text(undefined, { minLength: 1 });

export const backendTlsTargets = list(
  object({ group: text(), kind: name, name, sectionName: text() }, { required: ['group', 'kind', 'name'] }),
);

export const backendTlsValidation = object({
  caCertificateRefs: list(
    object({ group: text(), kind: name, name }, { required: ['group', 'kind', 'name'] }),
  ),
  wellKnownCACertificates: text(),
  hostname: text(),
  subjectAltNames: list(object({ type: text(), hostname: text(), uri: text() }, { required: ['type'] })),
});
