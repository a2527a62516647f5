"""Key hierarchies: volume keys under KEKs under a customer-managed key, in records.

::

    with keyhier.open(URI) as vault, keyhier.records.open_records(URL) as records:
        hierarchy = keyhier.Hierarchy(vault, records)
        hierarchy.protect(Volume("web-01", "C:"), bek, under="vm-kek")
"""
