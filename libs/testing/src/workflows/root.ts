/** The ModuleRef of the module that is tested. */
export const ROOT = Symbol('NestboxWorkflowTestingRoot');
