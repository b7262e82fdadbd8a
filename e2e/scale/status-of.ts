/** Whether a program is ready, as its probe would see. */
import { once } from 'node:events';
import { get, type IncomingMessage } from 'node:http';

/** Of an answer, or 0 without one. Not by `fetch`: a program that starts is asked a hundred times. */
export async function statusOf(url: string): Promise<number> {
  try {
    const [answer] = (await once(get(url, { agent: false }), 'response')) as [IncomingMessage];
    answer.resume();
    return answer.statusCode ?? 0;
  } catch {
    return 0;
  }
}
