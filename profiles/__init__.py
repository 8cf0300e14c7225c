"""What a profile is: vocabulary, parsing, layering and digests. The guide is README.md beside this file."""
