"""Terraform's plans: read as the resources that ARM would store."""
