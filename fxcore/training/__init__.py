"""Cyclic lock-release pretraining with a student and its EMA teacher."""
