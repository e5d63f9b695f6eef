export { findConnection } from './find-connection.js';
export { reportHealth, type HealthFindings, type HealthProbe } from './report-health.js';
export { startWithin, type StartOptions } from './start-within.js';
