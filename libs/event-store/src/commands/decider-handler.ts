import type { Event } from '../event.types.js';
import {
  handleCommand,
  type CommandStore,
  type HandleCommandOptions,
  type HandleCommandResult,
  type HandleCommandSettings,
} from './handle-command.js';

/** How commands are decided, and what becomes of a state with each event. */
export interface Decider<State, Command, E extends Event> {
  /** What happens on a command; `[]` for nothing. Refuses the command by throwing. */
  decide: (command: Command, state: State) => E | readonly E[] | Promise<E | readonly E[]>;
  evolve: (state: State, event: E) => State;
  initialState: () => State;
}

export interface DeciderHandlerSettings<State, Command, E extends Event>
  extends Decider<State, Command, E>, Omit<HandleCommandSettings<State, E>, 'evolve' | 'initialState'> {}

/**
 * {@link handleCommand} for a decider. Several commands are decided one after the other, and their events appended
 * together, or none of them.
 */
export function deciderHandler<State, Command, E extends Event>(
  store: CommandStore,
  { decide, ...settings }: DeciderHandlerSettings<State, Command, E>,
): (
  id: string,
  commands: Command | readonly Command[],
  options?: HandleCommandOptions,
) => Promise<HandleCommandResult<State, E>> {
  const run = handleCommand<State, E>(store, settings);
  return (id, commands, options) => {
    const list = isList(commands) ? commands : [commands];
    return run(
      id,
      list.map((command) => (state: State) => decide(command, state)),
      options,
    );
  };
}

/** `Array.isArray` does not narrow readonly arrays. */
function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}
