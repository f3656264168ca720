"""One module for each native format: `index_files(dataset)` and `records(key, dataset, folder)`."""
