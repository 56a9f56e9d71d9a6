"""Tools that make traces of traces: filter, sample, merge, shift, scale, anonymize; and convert, which makes other files of them."""
