"""Proofs of what is in deploy/, the Dockerfile and the wheel; not part of the wheel itself."""
