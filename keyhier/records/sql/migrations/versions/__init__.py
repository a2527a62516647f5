"""The versions of the schema; a published one is never changed."""
