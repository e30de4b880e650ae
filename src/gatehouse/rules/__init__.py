"""Pure rules: values in, decisions out. Standard library only; no clock, no I/O, no words for people."""
