"""What profiles name and tablets fetch: the catalogue of apps, packages of our own, and images. See the modules."""
