/**
 * ValidatingWebhookConfigurations: what must be right about one, and what we would not do.
 *
 * No CEL is evaluated. To Kubernetes a condition that cannot be evaluated means: not asked with failurePolicy Ignore, every
 * write refused with Fail. So it is here, but that the latter is refused at once.
 */
import type { FieldProblem } from '../errors.ts';
import { isObject, type JsonObject, listAt, numberAt, textAt, textsAt } from '../json.ts';
import { WEBHOOK_TIMEOUT_SECONDS } from '../limits.ts';
import type { KindRules } from './rules.ts';

export const webhookConfigurationRules: KindRules = {
  problems: (_, object) => {
    const seen = new Set<string>();
    return listAt(object, 'webhooks')
      .filter(isObject)
      .flatMap((webhook, i) => {
        const name = textAt(webhook, 'name') ?? '';
        const duplicate: readonly FieldProblem[] = seen.has(name)
          ? [
              problem(
                'FieldValueDuplicate',
                `webhooks[${i}].name`,
                `Duplicate value: ${JSON.stringify(name)}`,
              ),
            ]
          : [];
        seen.add(name);
        return [...duplicate, ...webhookProblems(webhook, `webhooks[${i}]`)];
      });
  },
  warnings: (object) =>
    listAt(object, 'webhooks')
      .filter(isObject)
      .filter(hasConditions)
      .map(
        ({ name }) =>
          `webhook ${JSON.stringify(name)} is not asked: the embedded API evaluates no matchConditions`,
      ),
};

export const hasConditions = (webhook: JsonObject): boolean => listAt(webhook, 'matchConditions').length > 0;

const problem = (reason: FieldProblem['reason'], field: string, message: string): FieldProblem => ({
  reason,
  field,
  message,
});

function webhookProblems(webhook: JsonObject, path: string): readonly FieldProblem[] {
  const problems: FieldProblem[] = [];
  const { clientConfig } = webhook;
  const url = textAt(clientConfig, 'url');
  const service = isObject(clientConfig) && isObject(clientConfig['service']);
  if ((url === undefined) === !service) {
    problems.push(
      problem(
        'FieldValueRequired',
        `${path}.clientConfig`,
        'Required value: exactly one of url or service is required',
      ),
    );
  }
  if (url !== undefined && !url.startsWith('https://')) {
    const message = `Invalid value: ${JSON.stringify(url)}: 'https' is the only allowed URL scheme`;
    problems.push(problem('FieldValueInvalid', `${path}.clientConfig.url`, message));
  }
  if (!textsAt(webhook, 'admissionReviewVersions').includes('v1')) {
    const message = 'Invalid value: must include at least one of v1';
    problems.push(problem('FieldValueInvalid', `${path}.admissionReviewVersions`, message));
  }
  const seconds = numberAt(webhook, 'timeoutSeconds') ?? 10;
  if (seconds < 1 || seconds > WEBHOOK_TIMEOUT_SECONDS) {
    const message = `Invalid value: ${seconds}: the timeout value must be between 1 and ${WEBHOOK_TIMEOUT_SECONDS} seconds`;
    problems.push(problem('FieldValueInvalid', `${path}.timeoutSeconds`, message));
  }
  if (hasConditions(webhook) && webhook['failurePolicy'] !== 'Ignore') {
    const message = 'Forbidden: the embedded API evaluates no CEL, so it would have to refuse every write';
    problems.push(problem('FieldValueForbidden', `${path}.matchConditions`, message));
  }
  return problems;
}
