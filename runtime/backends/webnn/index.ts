export { createWebNnBackend, type WebNnBackendOptions, type WebNnDevice } from './backend.ts';
