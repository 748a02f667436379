"""Photos of requests in, faces and templates out."""

from countenance.faces import Pipeline

__all__ = ["Engine"]


class Engine:
    """The pipeline as the operations use it, from many threads."""

    def __init__(self, pipeline: Pipeline) -> None:
        self.pipeline = pipeline
