import { textProblem } from '@nestbox/core';
import { z } from 'zod';

/** A text that PostgreSQL can hold, of at most so many characters. */
export function text(maxLength: number) {
  return z
    .string('must be a text.')
    .max(maxLength, `must be at most ${maxLength} characters long.`)
    .superRefine((value, context) => {
      const problem = textProblem(value);
      if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
    });
}

/** A text with something in it. */
export function filledText(maxLength: number) {
  return text(maxLength).refine((value) => value.trim() !== '', 'must not be empty.');
}

/** A whole number within bounds, given as a number. */
export function wholeNumber(min: number, max: number) {
  const problem = `must be a whole number from ${min} to ${max}.`;
  return z.number(problem).int(problem).min(min, problem).max(max, problem);
}

/** A whole number within bounds, of at most nine digits, given as text, as in a query. */
export function wholeNumberText(min: number, max: number) {
  const problem = `must be a whole number from ${min} to ${max}.`;
  return z
    .string(problem)
    .regex(/^0*\d{1,9}$/, problem)
    .transform(Number)
    .refine((number) => number >= min && number <= max, problem);
}
