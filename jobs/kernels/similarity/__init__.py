"""CKA and other measures of how similar two representations of the same examples are."""
