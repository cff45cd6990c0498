"""Tokenisation: texts to token ids."""
