import { workflowContract } from '@nestbox/testing/contracts';
import { MemoryWorkflowBackend } from '@nestbox/workflows';

workflowContract('the workflow engine in memory', {
  numRuns: 150,
  create: () => {
    const backend = new MemoryWorkflowBackend();
    return Promise.resolve({
      open: () => backend,
      expire: async (worker) => void backend.expire(worker),
    });
  },
});
