"""ARM templates: read, evaluated as far as they can be, and unfolded into resources.

What depends on the deployment itself stays UNKNOWN, and so does all that is made of it.
"""
