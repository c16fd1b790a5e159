"""What travels inside a Bento: it must import on Python 3.9 and know nothing of amlcore.

A Bento carries this folder as the package `amlcore_service`; nothing here loads the model when it is imported, since
BentoML's supervising process imports it too.
"""
