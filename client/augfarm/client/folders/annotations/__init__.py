"""Annotations of images in files: one file here for each form."""
