"""What runs inside the user's interpreter: the standard library alone, Python 3.6 and later."""
