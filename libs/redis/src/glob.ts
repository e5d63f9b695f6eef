/** Makes a text stand for itself in a glob pattern of Redis, as in `scan({ match: escapeGlob(prefix) + '*' })`. */
export function escapeGlob(text: string): string {
  return text.replaceAll(/[\\*?[\]]/g, '\\$&');
}
