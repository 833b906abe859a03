"""The addresses of the gateway, a file for each subject: read, check, ask the core, answer.

Annotations are evaluated where they stand (no `from __future__ import annotations` here): the framework reads them,
and they name dependencies that belong to one gateway.
"""
