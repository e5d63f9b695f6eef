/** What a run of every side does: three steps that do nothing, the middle one possibly something else. */
export const resultOf = ({ i }) => i + 3;

/** The middle step, when a case does not want anything of it. */
export const nothing = () => 1;

/** Calls `run` and fails when its result is not the right one. */
export async function runOnce(side, i) {
  const input = { i };
  const result = await side.run(input);
  if (result !== resultOf(input)) {
    throw new Error(`${side.name}: run ${i} gave ${JSON.stringify(result)} instead of ${resultOf(input)}`);
  }
}
