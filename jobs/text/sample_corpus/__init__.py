"""The sample corpus: generated, in English, with words, labels and relations."""
