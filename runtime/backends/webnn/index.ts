export { createWebNnBackend, type WebNnBackendOptions } from './backend.ts';
