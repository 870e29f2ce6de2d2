"""Download, verify and lock the files of sources, and report which are missing."""
