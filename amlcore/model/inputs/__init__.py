"""The input of a model: which rows it takes, how a request becomes them, and what the fitted model reveals about them.

Registration uses this package in the interpreter that trained the model, and it travels inside the Bento. So it
imports nothing else of amlcore, and runs on Python 3.7 and later.
"""
