"""The code that travels inside a Bento, as the package `amlcore_service`.

It runs on Python 3.9 and later and imports nothing of amlcore. Importing it does not load the model: BentoML's
supervisor imports it too.
"""
