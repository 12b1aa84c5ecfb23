import Sequencer from "@jest/test-sequencer";

/** The churn comes first: it takes its minutes, whatever else is done beside it. */
export default class ChurnFirst extends Sequencer {
  sort(tests) {
    const isChurn = ({ path }) => path.includes("/integration/chaos/");
    const sorted = super.sort(tests);
    return [...sorted.filter(isChurn), ...sorted.filter((test) => !isChurn(test))];
  }
}
