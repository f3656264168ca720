"""From native files to random access: adapters, the store, loaders."""
