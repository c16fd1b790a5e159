"""The input of a model: what it takes, how a request becomes that, and what the model says of it.

Registration reads the model by it in the interpreter that trained it, and it travels inside a Bento; so it imports
nothing of the rest, and runs on Python 3.7 and later.
"""
