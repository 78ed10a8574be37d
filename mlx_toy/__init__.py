"""mlx-toy: a language model small enough to understand, that answers from your documents.

This package runs a trained model: tokenizer, chat format, model, engine, documents, retrieval,
grounding and the app. Importing it is cheap; each module imports what it needs when it is used.
"""

__version__ = "0.1.0"
