"""A live service: a forecaster that fills a rolling store, and a server that answers from it."""
