/** What code here does not do, and where the exception is; each ban says why. */
import { importsOf, type SourceFile, withoutComments } from './sources.ts';

interface Ban {
  readonly what: RegExp;
  readonly why: string;
  readonly except: RegExp;
}

const TESTS = '\\.test\\.ts$|/testing/|^tools/|^e2e/';

const BANS: readonly Ban[] = [
  {
    what: /\bprocess\.env\b/,
    why: 'the environment is read in main.ts alone and handed down',
    except: new RegExp(`/main\\.ts$|-main\\.ts$|${TESTS}`),
  },
  {
    what: /\bconsole\./,
    why: 'lines go through core/log, or a command writes to its own output',
    except: new RegExp(TESTS),
  },
  {
    what: /\b(Date\.now|Math\.random|performance\.now)\(|\bnew Date\(\)|(?<![.\w])(setTimeout|setInterval)\(/,
    why: 'time and chance come from core/clock, so that tests decide them',
    except: new RegExp(`^packages/core/src/(clock|log)\\.ts$|${TESTS}`),
  },
  { what: /^export default\b/m, why: 'exports are named', except: /\.config\.ts$/ },
  { what: /\b(TODO|FIXME|XXX|HACK)\b/, why: 'what is left goes into an issue', except: /^tools\/tidy\// },
  {
    what: /\.(only|skip|todo)\(/,
    why: 'a test that does not run says so by failing',
    except: /^tools\/tidy\//,
  },
];

/** Decisions are synchronous functions of their arguments: no I/O, no time, no waiting. */
const PURE = /\/(decide|translate)\/|\/rules\/render[^/]*\.ts$/;

export function banProblems(files: readonly SourceFile[]): readonly string[] {
  return files.flatMap(({ path, text }) => {
    const code = withoutComments(text);
    const banned = BANS.filter((ban) => ban.what.test(code) && !ban.except.test(path)).map(
      (ban) => `${path}: ${ban.what.exec(code)?.[0] ?? ''}: ${ban.why}`,
    );
    const pure = PURE.test(path) && !path.endsWith('.test.ts');
    const impure =
      pure && (/\bawait\b|\basync\b/.test(code) || importsOf(text).some((from) => from.startsWith('node:')));
    const headless = !/^(#!.*\n)?\s*\/\*\*|^(#!.*\n)?\s*\/\//.test(text) && !path.endsWith('.test.ts');
    return [
      ...banned,
      ...(impure ? [`${path}: a decision neither waits nor imports node:`] : []),
      ...(headless ? [`${path}: starts without saying what it is`] : []),
    ];
  });
}
