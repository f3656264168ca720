"""DINO: a shared deformable encoder and, for each dataset, a decoder with its own proposals and prediction heads."""
