export { closeWhenReleased, holdConnections } from './close-order.js';
export { findConnection } from './find-connection.js';
export { isForModule, type NamedModule } from './named-module.js';
export { ProviderClass } from './provider-class.js';
export { reportHealth, type HealthFindings, type HealthProbe } from './report-health.js';
export { startWithin, type StartOptions } from './start-within.js';
