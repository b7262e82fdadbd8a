/**
 * What is told of what came as a request and is none. The codec has answered it already, or reset it: nobody decides on it,
 * and of its head nothing is believed, so nothing of it is told but the rule that it broke.
 */
import type { HttpError } from '@ambit/http/errors';
import type { RequestHead } from '@ambit/http/exchange';
import type { ExchangeContext } from './context.ts';
import { configOf, type Downstream } from './downstream.ts';
import type { ResponseFlag } from './flags.ts';
import { RequestReport, type Tried } from './request-report.ts';

/** How a client broke HTTP. */
interface Broken {
  readonly flag: ResponseFlag;
  readonly details: string;
}

export function brokenBy({ kind, reason }: HttpError, version: RequestHead['version']): Broken {
  if (kind === 'timeout') return { flag: 'SI', details: 'request_header_timeout' };
  return { flag: 'DPE', details: `http${version === '2' ? '2' : '1'}.codec_error{${reason}}` };
}

/** Counted and logged as a request is, but not traced: whoever asks for nothing has no part in a trace. */
export function reportRefused(
  { snapshot, reporter, clock }: Pick<ExchangeContext, 'snapshot' | 'reporter' | 'clock'>,
  downstream: Downstream,
  error: HttpError,
  version: '1.1' | '2',
): void {
  const report = new RequestReport(clock, downstream, { ...NOTHING_ASKED, version });
  const { flag, details } = brokenBy(error, version);
  report.flag(flag);
  report.details(details);
  report.broke(error);
  const begun = reporter.begin(configOf(snapshot(), downstream.destination), NOTHING_ASKED);
  reporter.ended(report.record({ ...begun, requestId: '', traceId: '', span: undefined }, NOT_TRIED));
}

const NOT_TRIED: Tried = { attempts: 0, localAddress: '' };

const NOTHING_ASKED: RequestHead = {
  method: '',
  scheme: 'http',
  authority: '',
  path: '',
  version: '1.1',
  fields: [],
  upgrade: undefined,
  expectsContinue: false,
  endsHere: true,
};
