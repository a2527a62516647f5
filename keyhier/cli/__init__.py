"""The `keyhier` command: Typer and Rich over the public names, one file a noun."""
