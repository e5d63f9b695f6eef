/**
 * Ends the output of a run with one line for people and programs in a hurry: `12 passed, 0 failed`, or
 * `12 passed, 0 failed, 3 skipped`.
 *
 * A test file that cannot be loaded, an interrupted run, and a failure outside all tests (such as in the global
 * teardown) count as one failure each, so that the line of a failing run never says `0 failed`.
 */
export default class ClosingLineReporter {
  #results;

  constructor(globalConfig) {
    if (globalConfig.watch || globalConfig.watchAll || globalConfig.json) return;
    // Not in onRunComplete: the other reporters and the global teardown may still print, and fail, after it.
    process.once('exit', (exitCode) => print(`${this.#line(exitCode)}\n`));
  }

  onTestResult(test, testResult, results) {
    this.#results = results;
  }

  onRunComplete(contexts, results) {
    this.#results = results;
  }

  #line(exitCode) {
    const results = this.#results;
    const passed = results?.numPassedTests ?? 0;
    const skipped = (results?.numPendingTests ?? 0) + (results?.numTodoTests ?? 0);
    const failed = (results?.numFailedTests ?? 0) + (results?.numRuntimeErrorTestSuites ?? 0);
    const succeeded = results?.success === true && exitCode === 0;
    const shownFailed = succeeded ? failed : Math.max(1, failed);
    return `${passed} passed, ${shownFailed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
  }
}

/** Jest replaces `process.stdout.write`, to buffer and, where it exits early, to mute it. */
function print(text) {
  Object.getPrototypeOf(process.stdout).write.call(process.stdout, text);
}
