"""A real Kafka, Redis and Elasticsearch for the tests, without containers.

``python -m tests.stack up`` starts the same servers and leaves them up.
"""
