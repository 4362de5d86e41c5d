"""Telling people and other systems: mails and webhooks, by an outbox in the database."""
