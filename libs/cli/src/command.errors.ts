import { NestboxError } from '@nestbox/core';

/** What the command was asked for is not there. Exit code 4. */
export class NothingFoundError extends NestboxError {
  readonly code = 'NOTHING_FOUND';
}

/** The command would destroy something, and nobody was there to be asked. Exit code 2. */
export class ConfirmationRequiredError extends NestboxError {
  readonly code = 'CONFIRMATION_REQUIRED';

  constructor(what: string) {
    super(`This ${what}. Nobody can be asked whether that is meant; pass --yes.`);
  }
}

/** The answer was no. Exit code 1. */
export class DeclinedError extends NestboxError {
  readonly code = 'DECLINED';

  constructor() {
    super('Not confirmed; nothing was changed.');
  }
}

/** The command failed, and this says why. Exit code 1. */
export class CommandFailedError extends NestboxError {
  readonly code = 'COMMAND_FAILED';
}
