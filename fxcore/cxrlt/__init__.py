"""The CXR-LT 2024 study: self-supervised backbones, and heads for long-tailed findings on them."""
