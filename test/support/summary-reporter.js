/** Ends a run with one plain line that any CI understands: `12 passed, 0 failed, 1 skipped`. */
export default class SummaryReporter {
  onRunComplete(_contexts, results) {
    // A file that could not even be loaded has no failed tests of its own.
    const failed = results.numFailedTests + results.numRuntimeErrorTestSuites;
    const skipped = results.numPendingTests + results.numTodoTests;
    const tail = skipped === 0 ? "" : `, ${skipped} skipped`;
    process.stdout.write(`\n${results.numPassedTests} passed, ${failed} failed${tail}\n`);
  }
}
