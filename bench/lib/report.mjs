import os from 'node:os';

/** One JSON array of `{ case, side, median, ratio }`; `ratio` is ours divided by that side, round by round. */
export function printRows({ cases }) {
  const rows = cases.flatMap((result) =>
    result.sides.map(({ side, median, ratio }) => ({
      case: result.name,
      side,
      median: Math.round(median),
      ratio: Number(ratio.toFixed(3)),
    })),
  );
  console.log(JSON.stringify(rows, null, 2));
}

export function printTables({ cases, notes, failures, versions }) {
  console.log(`\n${machine()}; ${versions}\n`);
  console.log('| case | side | median | quartiles | nestbox / side | target |');
  console.log('| --- | --- | ---: | ---: | ---: | --- |');
  for (const { name, unit, sides, targets = {} } of cases) {
    for (const { side, median, low, high, ratio } of sides) {
      const target = targets[side];
      const verdict = target === undefined ? '' : `>= ${target} ${ratio >= target ? 'met' : 'MISSED'}`;
      const ratioText = side === 'nestbox' ? '' : `${ratio.toFixed(2)} x`;
      console.log(
        `| ${name} | ${side} | ${number(median)} ${unit} | ${number(low)} to ${number(high)} | ${ratioText} | ${verdict} |`,
      );
    }
  }
  for (const note of notes) console.log(`\n${note}`);
  for (const failure of failures) console.log(`\nFAILED: ${failure}`);
}

function number(value) {
  return Math.round(value).toLocaleString('en-US');
}

function machine() {
  const cpus = os.cpus();
  const memory = Math.round(os.totalmem() / 2 ** 30);
  return `${cpus.length} x ${cpus[0].model.trim()}, ${memory} GiB, Node ${process.versions.node}`;
}
