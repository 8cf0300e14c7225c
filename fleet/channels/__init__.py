"""The tablets' door and what stands behind it, one package per way a tablet speaks."""
