"""Benchmarks: `make bench` prints the tables of docs/performance.md. Nothing here is a test."""
