"""Spectrum Suite: what is sampled. Modules of ``synthetic`` and ``sources`` list their tasks in ``TASKS``."""
