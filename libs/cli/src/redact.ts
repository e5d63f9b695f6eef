/** Words of the command itself, which give nothing away when they happen to be somebody's password. */
const OWN_WORDS = new Set(['nestbox', 'postgres', 'postgresql', 'redis', 'password', 'database']);

/**
 * Takes passwords out of a text: those of any URL in it, and those of the URLs that are given. A password that is the
 * name of the user or of the database as well, or a word of the command, is only taken out of URLs: elsewhere it would
 * make holes in harmless sentences.
 */
export function redact(text: string, urls: readonly (string | undefined)[]): string {
  let redacted = text.replaceAll(/\/\/([^\s/@:]*):[^\s/]*@/g, '//$1:***@');
  const each = urls.flatMap((url) => url?.split(/,(?=rediss?:)/) ?? []);
  for (const password of each.flatMap(passwordsOf)) redacted = redacted.replaceAll(password, '***');
  return redacted;
}

/** As it stands in the URL, and as it is meant. */
function passwordsOf(url: string): string[] {
  const [, user = '', raw, rest = ''] = /^[a-z]+:\/\/([^:/?#]*):(.*)@(.*)/is.exec(url) ?? [];
  const [, parameter] = /[?&]password=([^&]+)/i.exec(url) ?? [];
  const [, database = ''] = /^[^/]*\/([^?#]*)/.exec(rest) ?? [];
  const shown = new Set([...OWN_WORDS, user.toLowerCase(), database.toLowerCase()]);
  return [raw, parameter].flatMap((text) => {
    // A short one would take harmless letters out of the message.
    if (text === undefined || text.length < 3 || shown.has(text.toLowerCase())) return [];
    try {
      return [text, decodeURIComponent(text)];
    } catch {
      return [text];
    }
  });
}
