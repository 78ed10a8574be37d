"""The rows of the report, each in a file of its own; `train/evaluate.py` puts them together."""
