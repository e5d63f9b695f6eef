import {
  canInstallPackages,
  commandOnPath,
  installPackage,
} from '../../../libs/testing/src/servers/debian-package.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];

/** The path of a Chromium, or why there is none. */
export type FoundChromium = { path: string } | { missing: string };

/**
 * `CHROMIUM_PATH`, else a Chromium from the PATH. Where there is none, root on a Debian-like system gets Debian's in CI,
 * and one line on stderr says so. Elsewhere a developer decides.
 */
export async function findChromium(): Promise<FoundChromium> {
  const given = process.env['CHROMIUM_PATH'];
  if (given !== undefined && given !== '') return { path: given };
  const found = commandOnPath(...NAMES);
  if (found !== undefined) return { path: found };
  if (isCi() && canInstallPackages()) {
    await installPackage('chromium', 'the page is tested in it');
    const installed = commandOnPath(...NAMES);
    if (installed !== undefined) return { path: installed };
  }
  return {
    missing:
      "No Chromium is on the PATH: install one ('apt-get install chromium', 'brew install --cask chromium'), or set CHROMIUM_PATH.",
  };
}

export function isCi(): boolean {
  return process.env['CI'] === 'true';
}
