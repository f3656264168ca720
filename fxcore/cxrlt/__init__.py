"""The CXR-LT 2024 study: a backbone pretrained without labels, heads on it, and long-tailed classes."""
