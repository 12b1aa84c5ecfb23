import Sequencer from "@jest/test-sequencer";

/** By name: the chart's upgrade and its uninstall come last. */
export default class ByName extends Sequencer {
  sort(tests) {
    return [...tests].sort((a, b) => (a.path < b.path ? -1 : 1));
  }
}
