"""Headers of the accepted file formats, read in pure Python: no decoder, bounded work."""
