import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

/** Starts one of the scripts beside this file, and asks things of it. */
export class Child {
  constructor(script, env = {}) {
    const path = fileURLToPath(new URL(script, import.meta.url));
    this.process = fork(path, [], { env: { ...process.env, ...env }, serialization: 'advanced' });
    this.answers = [];
    this.waiting = [];
    this.process.on('message', (message) => {
      this.answers.push(message);
      this.match();
    });
    this.process.on('exit', (code) => {
      for (const { reject } of this.waiting) reject(new Error(`${script} ended with ${code}`));
    });
  }

  /** The next message that has a property. */
  next(property) {
    return new Promise((resolve, reject) => {
      this.waiting.push({ property, resolve, reject });
      this.match();
    });
  }

  ask(order, property) {
    const answer = this.next(property);
    this.process.send(order);
    return answer;
  }

  match() {
    for (const waiter of this.waiting.slice()) {
      const i = this.answers.findIndex((answer) => waiter.property in answer);
      if (i === -1) continue;
      this.waiting.splice(this.waiting.indexOf(waiter), 1);
      waiter.resolve(this.answers.splice(i, 1)[0]);
    }
  }

  async stop() {
    if (this.process.exitCode !== null) return;
    const exited = once(this.process, 'exit');
    this.process.disconnect();
    await exited;
  }
}
